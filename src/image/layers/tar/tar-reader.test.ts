/** The tar reader on archives of GNU tar in all its formats, on hand-made ones, and on broken ones. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { ByteString } from './byte-string.ts';
import { byteString } from './byte-string.ts';
import type { TarEntry } from './tar-format.ts';
import { TarReader, type TarSink } from './tar-reader.ts';
import { TarWriter } from './tar-writer.ts';

interface Read {
  entry: TarEntry;
  content: Buffer;
}

class Collector implements TarSink {
  readonly entries: Read[] = [];

  entry(entry: TarEntry, body: Buffer | undefined): void {
    const content = Buffer.alloc(Math.min(entry.size, 64 * 1024 * 1024));
    body?.copy(content);
    this.entries.push({ entry, content });
  }

  data(chunk: Buffer, position: number): void {
    const last = this.entries.at(-1);
    if (last !== undefined) chunk.copy(last.content, position);
  }

  end(): void {}
}

function read(archive: Buffer, chunkBytes = archive.length): Read[] {
  const sink = new Collector();
  const reader = new TarReader(sink);
  for (let at = 0; at < archive.length; at += chunkBytes) reader.push(archive.subarray(at, at + chunkBytes));
  reader.finish();
  return sink.entries;
}

function find(entries: Read[], name: string): Read {
  const found = entries.find(({ entry }) => entry.name.replace(/^\.\//, '') === byteString(name));
  assert.ok(found, `${name} is in the archive`);
  return found;
}

const directory = mkdtempSync(join(tmpdir(), 'mydock-tar-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function gnuTar(...options: string[]): Buffer {
  return execFileSync('tar', [...options, '-cf', '-', '-C', directory, '.'], {
    maxBuffer: 256 * 1024 * 1024,
  });
}

const long = `${'d'.repeat(120)}/${'f'.repeat(130)}`;
mkdirSync(join(directory, 'directory'));
writeFileSync(join(directory, 'plain'), 'hello\n');
writeFileSync(join(directory, 'block'), Buffer.alloc(512, 0x61));
writeFileSync(join(directory, 'empty'), '');
symlinkSync('plain', join(directory, 'link'));

describe('formats of GNU tar', () => {
  for (const format of ['v7', 'ustar', 'oldgnu', 'gnu', 'posix']) {
    for (const chunkBytes of [1, 511, 4096, 1 << 20]) {
      test(`${format} in pieces of ${chunkBytes} bytes`, () => {
        const entries = read(gnuTar(`--format=${format}`), chunkBytes);
        assert.equal(find(entries, 'plain').content.toString(), 'hello\n');
        assert.equal(find(entries, 'block').content.toString(), 'a'.repeat(512));
        assert.equal(find(entries, 'empty').entry.type, 'file');
        assert.equal(find(entries, 'link').entry.linkName, 'plain');
        assert.equal(find(entries, 'directory/').entry.type, 'directory');
      });
    }
  }
});

test('long names and link targets in GNU and PAX form', () => {
  mkdirSync(join(directory, 'd'.repeat(120)));
  writeFileSync(join(directory, long), 'long');
  symlinkSync('t'.repeat(300), join(directory, 'long-link'));
  for (const format of ['oldgnu', 'gnu', 'posix']) {
    const entries = read(gnuTar(`--format=${format}`));
    assert.equal(find(entries, long).content.toString(), 'long');
    assert.equal(find(entries, 'long-link').entry.linkName, 't'.repeat(300));
  }
});

test('large numbers: base-256 and PAX', () => {
  const owner = ['--owner=:3000000', '--group=:4000000', '--numeric-owner', '--mtime=@-5'];
  for (const format of ['gnu', 'posix']) {
    const { entry } = find(read(gnuTar(`--format=${format}`, ...owner)), 'plain');
    assert.deepEqual([entry.uid, entry.gid, entry.mtimeSec], [3_000_000, 4_000_000, -5]);
  }
});

test('PAX times keep nanoseconds, also before 1970', () => {
  for (const [text, seconds, nanoseconds] of [
    ['@1234567890.123456789', 1234567890, 123456789],
    ['@-1.5', -2, 500_000_000],
    ['@-1', -1, 0],
  ] as const) {
    const { entry } = find(read(gnuTar('--format=posix', `--mtime=${text}`)), 'plain');
    assert.deepEqual([entry.mtimeSec, entry.mtimeNsec], [seconds, nanoseconds], text);
  }
});

describe('sparse files', () => {
  const size = 30 * 1024 * 1024;
  const expected = Buffer.alloc(size);

  test('all of GNU tar formats', () => {
    writeFileSync(join(directory, 'sparse'), '');
    truncateSync(join(directory, 'sparse'), size);
    /* More segments than an old header and its first extension take. */
    const fd = join(directory, 'sparse');
    for (let i = 0; i < 60; i++) {
      const at = i * 512 * 1024;
      expected.fill(i + 1, at, at + 4096);
      execFileSync(
        'dd',
        [`of=${fd}`, 'bs=4096', `seek=${at / 4096}`, 'count=1', 'conv=notrunc', 'status=none'],
        {
          input: expected.subarray(at, at + 4096),
        },
      );
    }
    for (const options of [
      ['--format=oldgnu'],
      ['--format=gnu'],
      ['--format=posix', '--sparse-version=0.0'],
      ['--format=posix', '--sparse-version=0.1'],
      ['--format=posix', '--sparse-version=1.0'],
    ]) {
      const archive = gnuTar('--sparse', ...options);
      assert.ok(archive.length < 2 * 1024 * 1024, 'GNU tar wrote a sparse file');
      for (const chunkBytes of [1000, archive.length]) {
        const { entry, content } = find(read(archive, chunkBytes), 'sparse');
        assert.equal(entry.size, size);
        assert.ok(content.equals(expected), options.join(' '));
      }
    }
  });

  test('a file that is one hole', () => {
    truncateSync(join(directory, 'empty'), 1024 * 1024);
    for (const options of [
      ['--format=gnu'],
      ['--format=posix'],
      ['--format=posix', '--sparse-version=0.1'],
    ]) {
      const { entry, content } = find(read(gnuTar('--sparse', ...options)), 'empty');
      assert.equal(entry.size, 1024 * 1024);
      assert.ok(content.every((byte) => byte === 0));
    }
    truncateSync(join(directory, 'empty'), 0);
  });
});

/** One entry by hand; `patch` changes its header, and the checksum is made right again. */
function handmade(patch: (header: Buffer) => void, content = Buffer.from('content')): Buffer {
  const parts: Buffer[] = [];
  const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  writer.entry({ name: 'entry' as ByteString, type: 'file', size: content.length });
  writer.data(content);
  writer.finish();
  const archive = Buffer.concat(parts);
  patch(archive);
  archive.write('        ', 148, 'latin1');
  let sum = 0;
  for (const byte of archive.subarray(0, 512)) sum += byte;
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return archive;
}

describe('broken archives name entry and offset', () => {
  const whole = handmade(() => undefined);
  const cases: [string, Buffer, RegExp][] = [
    ['checksum', Buffer.from(whole).fill(0x78, 0, 1), /tar at offset 0: invalid header checksum/],
    ['size', handmade((header) => header.write('9999', 124)), /tar entry "entry" at offset 0: invalid size/],
    ['negative size', handmade((header) => header.fill(0xff, 124, 136)), /"entry" at offset 0: invalid size/],
    ['type', handmade((header) => header.write('M', 156)), /"entry" at offset 0: unsupported entry type "M"/],
    ['cut header', whole.subarray(0, 300), /unexpected end of archive/],
    ['cut content', whole.subarray(0, 515), /tar entry "entry" at offset 0: unexpected end of archive/],
    ['cut padding', whole.subarray(0, 700), /tar entry "entry" at offset 0: unexpected end of archive/],
    ['no tar', Buffer.alloc(2048, 'no tar at all '), /tar at offset 0: invalid header checksum/],
    [
      'PAX too large',
      handmade((header) => header.write('x', 156) && header.write('77777777777', 124)),
      /too large/,
    ],
    ['PAX without length', handmade((header) => header.write('x', 156)), /invalid PAX record length/],
    [
      'data after zeros',
      Buffer.concat([Buffer.alloc(512), whole]),
      /tar at offset 512: data after a block of zeros/,
    ],
  ];
  for (const [name, archive, message] of cases) {
    test(name, () => assert.throws(() => read(archive), { kind: 'InvalidParameter', message }));
  }
});

test('what others accept is accepted: no end mark, trailing garbage, nothing at all', () => {
  const whole = handmade(() => undefined);
  assert.equal(read(whole.subarray(0, 1024)).length, 1);
  assert.equal(read(Buffer.concat([whole, Buffer.from('garbage')])).length, 1);
  assert.equal(read(Buffer.alloc(0)).length, 0);
});

test('PAX records: global, local, deleted, binary', () => {
  const record = (text: string): string => {
    let length = text.length + 3;
    while (String(length).length + 1 + text.length + 1 !== length) length++;
    return `${length} ${text}\n`;
  };
  const block = (type: string, content: string): Buffer => {
    const data = Buffer.from(content, 'latin1');
    return handmade((header) => header.write(type, 156), data).subarray(0, -1024);
  };
  const archive = Buffer.concat([
    block('g', record('uid=7') + record('mtime=1.25')),
    block('x', record('path=caf\xe9') + record('SCHILY.xattr.user.a%3Db=\0\xff\n')),
    block('0', 'first'),
    block('0', 'second'),
  ]);
  const [first, second] = read(archive);
  assert.equal(first?.entry.name, 'caf\xe9');
  assert.equal(first?.entry.uid, 7);
  assert.deepEqual(first?.entry.xattrs[0]?.name, 'user.a=b');
  assert.deepEqual(Buffer.from(first?.entry.xattrs[0]?.value ?? []), Buffer.from([0, 0xff, 0x0a]));
  assert.equal(second?.entry.name, 'entry');
  assert.deepEqual([second?.entry.mtimeSec, second?.entry.mtimeNsec], [1, 250_000_000]);
  assert.equal(second?.entry.xattrs.length, 0);
});

test('PAX headers cannot ask for any amount of memory, one by one', () => {
  for (const type of ['g', 'x', 'L']) {
    const sink = new Collector();
    const reader = new TarReader(sink);
    const header = handmade(
      (archive) => archive.write(type, 156),
      Buffer.from('11 path=ab\n'.repeat(45_000)),
    );
    const push = (): void => {
      for (let i = 0; i < 4; i++) reader.push(header.subarray(0, -1024));
    };
    assert.throws(push, /extended header of \d+ bytes is too large/, type);
  }
});

test('sparse maps that lie are refused', () => {
  const sparse = (map: string, realSize: number): Buffer => {
    const parts: Buffer[] = [];
    const writer = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
    const records = `GNU.sparse.map=${map}`;
    const text = (line: string): string => `${line.length + 4} ${line}\n`;
    const data = Buffer.from(text(records).padEnd(0) + text(`GNU.sparse.size=${realSize}`), 'latin1');
    writer.entry({ name: 'x' as ByteString, type: 'file', size: data.length });
    writer.data(data);
    const pax = Buffer.concat(parts);
    pax.write('x', 156);
    return Buffer.concat([fixChecksum(pax), handmade(() => undefined)]);
  };
  for (const [map, size] of [
    ['0,7,3,10', 20],
    ['0,7,30,10', 20],
    ['0,3,00', 20],
    ['0,5,10,5', 20],
    ['10,7,00,0', 20],
  ] as const) {
    assert.throws(() => read(sparse(map, size)), /sparse map/, map);
  }
});

function fixChecksum(archive: Buffer): Buffer {
  archive.write('        ', 148, 'latin1');
  let sum = 0;
  for (const byte of archive.subarray(0, 512)) sum += byte;
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return archive;
}
