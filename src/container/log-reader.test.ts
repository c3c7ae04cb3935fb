import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type LogRange, readLog } from './log-reader.ts';

let directory = '';
let path = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-log-'));
  path = join(directory, 'x-json.log');
});
afterEach(() => rmSync(directory, { recursive: true }));

function line(text: string, second = 0, stream = 'stdout'): string {
  const time = `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`;
  return `${JSON.stringify({ log: `${text}\n`, stream, time })}\n`;
}

async function read(range: Partial<LogRange>): Promise<string[]> {
  const texts: string[] = [];
  const lines = readLog(path, { follow: false, ...range }, () => true, new AbortController().signal);
  for await (const batch of lines) texts.push(...batch.map(({ text }) => text.trimEnd()));
  return texts;
}

test('a log that was never written is empty', async () => {
  assert.deepEqual(await read({}), []);
});

test('rotated files are read first, oldest first', async () => {
  writeFileSync(`${path}.2`, line('a'));
  writeFileSync(`${path}.1`, line('b'));
  writeFileSync(path, line('c'));
  assert.deepEqual(await read({}), ['a', 'b', 'c']);
});

test('tail counts over rotated files; more than there are gives all', async () => {
  writeFileSync(`${path}.1`, line('a') + line('b'));
  writeFileSync(path, line('c'));
  assert.deepEqual(await read({ tail: 2 }), ['b', 'c']);
  assert.deepEqual(await read({ tail: 0 }), []);
  assert.deepEqual(await read({ tail: 99 }), ['a', 'b', 'c']);
});

test('tail reads back over many read blocks', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => line(`line ${index}`));
  writeFileSync(path, lines.join(''));
  const tail = await read({ tail: 5_000 });
  assert.equal(tail.length, 5_000);
  assert.equal(tail[0], 'line 15000');
});

test('since and until are inclusive bounds', async () => {
  writeFileSync(path, line('a', 1) + line('b', 2) + line('c', 3));
  const second = BigInt(Date.parse('2026-01-01T00:00:02Z')) * 1_000_000n;
  assert.deepEqual(await read({ sinceNs: second }), ['b', 'c']);
  assert.deepEqual(await read({ untilNs: second }), ['a', 'b']);
});

test('a broken line is left out, its neighbours are not', async () => {
  writeFileSync(path, `${line('a')}{"log":"cut\n${line('b')}`);
  assert.deepEqual(await read({}), ['a', 'b']);
});

test('following goes on over a rotation until the container has ended', async () => {
  writeFileSync(path, line('a'));
  let ended = false;
  const texts: string[] = [];
  const lines = readLog(path, { follow: true }, () => ended, new AbortController().signal);
  const done = (async () => {
    for await (const batch of lines) texts.push(...batch.map(({ text }) => text.trimEnd()));
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  appendFileSync(path, line('b'));
  renameSync(path, `${path}.1`);
  writeFileSync(path, line('c'));
  await new Promise((resolve) => setTimeout(resolve, 20));
  appendFileSync(path, line('d'));
  ended = true;
  await done;
  assert.deepEqual(texts, ['a', 'b', 'c', 'd']);
});

test('following stops when the reader goes away', async () => {
  writeFileSync(path, line('a'));
  const controller = new AbortController();
  const lines = readLog(path, { follow: true }, () => false, controller.signal);
  assert.equal((await lines.next()).value?.length, 1);
  const waiting = lines.next();
  controller.abort();
  assert.equal((await waiting).done, true);
});
