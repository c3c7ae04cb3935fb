import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteString } from './byte-string.ts';
import type { TarEntry } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';
import { TarWriter } from './tar-writer.ts';

const SIZE = 10_000_000_000;

interface ReadFile {
  entry: TarEntry;
  pieces: [position: number, text: string][];
}

function readAll(archive: Buffer): ReadFile[] {
  const files: ReadFile[] = [];
  const reader = new TarReader({
    entry: (entry, body) => {
      const copy = { ...entry };
      files.push({
        entry: copy,
        pieces: body === undefined || body.length === 0 ? [] : [[0, body.toString()]],
      });
    },
    data: (chunk, position) => {
      const pieces = files.at(-1)?.pieces;
      const last = pieces?.at(-1);
      if (last !== undefined && last[0] + last[1].length === position) last[1] += chunk.toString();
      else pieces?.push([position, chunk.toString()]);
    },
    end: () => undefined,
  });
  reader.push(archive);
  reader.finish();
  return files;
}

test('a file with holes is written with its stretches of data alone, and read back', () => {
  const written: Buffer[] = [];
  const tar = new TarWriter((bytes) => written.push(Buffer.from(bytes)));
  tar.entry({
    name: 'a/holes' as ByteString,
    type: 'file',
    mode: 0o640,
    size: SIZE,
    sparse: [
      { offset: 4096, length: 5 },
      { offset: SIZE - 3, length: 3 },
    ],
  });
  tar.data(Buffer.from('first'));
  tar.data(Buffer.from('end'));
  tar.entry({ name: 'empty' as ByteString, type: 'file', size: 1_000_000, sparse: [] });
  tar.entry({ name: 'after' as ByteString, type: 'file', size: 2 });
  tar.data(Buffer.from('ok'));
  tar.finish();
  const archive = Buffer.concat(written);
  assert.ok(archive.length < 20_000);
  const [holes, empty, after] = readAll(archive);
  assert.equal(holes?.entry.name, 'a/holes');
  assert.equal(holes?.entry.size, SIZE);
  assert.equal(holes?.entry.mode, 0o640);
  assert.deepEqual(holes?.pieces, [
    [4096, 'first'],
    [SIZE - 3, 'end'],
  ]);
  assert.equal(empty?.entry.size, 1_000_000);
  assert.deepEqual(empty?.pieces, []);
  assert.deepEqual(after?.pieces, [[0, 'ok']]);
});
