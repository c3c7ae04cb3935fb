/** The tar writer: what it writes, GNU tar and our reader must read back; and only what needs PAX gets it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type ByteString, byteString } from './byte-string.ts';
import type { TarEntry } from './tar-format.ts';
import { TarReader } from './tar-reader.ts';
import { type TarHeader, TarWriter } from './tar-writer.ts';

function write(...entries: [TarHeader, string?][]): Buffer {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  for (const [header, content = ''] of entries) {
    writer.entry({ ...header, size: content.length });
    writer.data(Buffer.from(content, 'latin1'));
  }
  writer.finish();
  return Buffer.concat(parts);
}

function read(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  const reader = new TarReader({
    entry: (entry) => entries.push(entry),
    data: () => undefined,
    end: () => undefined,
  });
  reader.push(archive);
  reader.finish();
  return entries;
}

const full: TarEntry = {
  name: byteString('dir/file'),
  type: 'file',
  mode: 0o4755,
  uid: 1000,
  gid: 1001,
  size: 0,
  mtimeSec: 1_700_000_000,
  mtimeNsec: 0,
  linkName: '' as ByteString,
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
};

test('every field comes back', () => {
  const variants: Partial<TarEntry>[] = [
    {},
    { name: byteString(`${'a/'.repeat(60)}b`) },
    { name: byteString('x'.repeat(256)) },
    { name: byteString(`${'y'.repeat(200)}/`), type: 'directory' },
    { name: byteString(`${'z'.repeat(99)}/`), type: 'directory' },
    { name: byteString(`${'p'.repeat(155)}/${'n'.repeat(100)}`) },
    { name: byteString(`${'p'.repeat(156)}/${'n'.repeat(100)}`) },
    { name: byteString(Buffer.from([0x66, 0xff, 0x0a, 0xc3])) },
    { type: 'symlink', linkName: byteString('t'.repeat(101)) },
    { type: 'hardlink', linkName: byteString('other') },
    { type: 'character', deviceMajor: 4095, deviceMinor: 1_048_575 },
    { uid: 2_097_151, gid: 2_097_152 },
    { uid: 4_294_967_294 },
    { mtimeNsec: 1 },
    { mtimeSec: -2, mtimeNsec: 500_000_000 },
    { mtimeSec: -7 },
    { mtimeSec: 2 ** 40 },
    { xattrs: [{ name: byteString('user.a=b%'), value: Buffer.from([0, 10, 255]) }] },
  ];
  for (const variant of variants) {
    const entry = { ...full, ...variant };
    const [back] = read(write([entry]));
    assert.deepEqual({ ...back, xattrs: [] }, { ...entry, xattrs: [] });
    assert.deepEqual(
      back?.xattrs.map(({ name, value }) => [name, Buffer.from(value).toString('hex')]),
      entry.xattrs.map(({ name, value }) => [name, Buffer.from(value).toString('hex')]),
    );
  }
});

test('GNU tar lists the same names', () => {
  const names = ['short', `${'p'.repeat(155)}/${'n'.repeat(100)}`, 'x'.repeat(300), `${'d'.repeat(120)}/`];
  const archive = write(...names.map((name): [TarHeader] => [{ name: byteString(name), type: 'file' }]));
  const listed = execFileSync('tar', ['-tf', '-'], { input: archive }).toString().trim().split('\n');
  assert.deepEqual(listed, names);
});

test('no PAX header where ustar is enough', () => {
  const plain = write([full, 'content']);
  assert.equal(plain.length, 512 + 512 + 1024);
  assert.deepEqual(write([full, 'content']), plain);
});

test('content must be what the size says', () => {
  const writer = new TarWriter(() => undefined);
  writer.entry({ ...full, size: 3 });
  writer.data(Buffer.from('ab'));
  assert.throws(() => writer.finish(), /"dir\/file" lacks 1 bytes of content/);
  assert.throws(() => writer.data(Buffer.from('cde')), /got more content than its size says/);
});

test('a file over 8 GiB has its size in a PAX header', () => {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  writer.entry({ ...full, size: 2 ** 34 });
  const sizes: number[] = [];
  const reader = new TarReader({
    entry: (entry) => sizes.push(entry.size),
    data: () => undefined,
    end: () => undefined,
  });
  reader.push(Buffer.concat([...parts, Buffer.from('x')]));
  assert.deepEqual(sizes, [2 ** 34]);
});
