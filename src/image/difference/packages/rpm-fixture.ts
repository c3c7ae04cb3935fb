/** Test fixture: rpm headers, and the databases that hold them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const STRING = 6;
const STRING_ARRAY = 8;
const INT32 = 4;

export interface RpmFixture {
  name: string;
  version: string;
  release: string;
  architecture: string;
  epoch?: number;
  /** Absolute paths. */
  files?: readonly string[];
}

/** A header as databases keep it. */
export function rpmHeader(fixture: RpmFixture): Buffer {
  const { name, version, release, architecture, epoch, files = [] } = fixture;
  const folders = [...new Set(files.map((path) => path.replace(/[^/]*$/, '')))];
  const words = (numbers: readonly number[]): Buffer => Buffer.concat(numbers.map(bigEndian));
  const texts = (list: readonly string[]): Buffer => Buffer.from(list.map((text) => `${text}\0`).join(''));
  const tags: [tag: number, type: number, count: number, data: Buffer][] = [
    [1000, STRING, 1, texts([name])],
    [1001, STRING, 1, texts([version])],
    [1002, STRING, 1, texts([release])],
    ...(epoch === undefined
      ? []
      : ([[1003, INT32, 1, words([epoch])]] as [number, number, number, Buffer][])),
    [1022, STRING, 1, texts([architecture])],
    [1116, INT32, files.length, words(files.map((path) => folders.indexOf(path.replace(/[^/]*$/, ''))))],
    [1117, STRING_ARRAY, files.length, texts(files.map((path) => path.replace(/^.*\//, '')))],
    [1118, STRING_ARRAY, folders.length, texts(folders)],
  ];
  const index: Buffer[] = [];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [tag, type, count, bytes] of tags) {
    const padding = Buffer.alloc(type === INT32 ? (4 - (offset % 4)) % 4 : 0);
    offset += padding.length;
    index.push(words([tag, type, offset, count]));
    data.push(padding, bytes);
    offset += bytes.length;
  }
  return Buffer.concat([words([tags.length, offset]), ...index, ...data]);
}

function bigEndian(number: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32BE(number);
  return word;
}

function littleEndian(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [at, number] of numbers.entries()) bytes.writeUInt32LE(number, at * 4);
  return bytes;
}

/** An rpmdb.sqlite made by SQLite; with `inLog`, the second half of the headers stands in its log only. */
export function sqliteDatabase(headers: readonly Buffer[], inLog = false): { data: Buffer; wal: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'rpmdb-'));
  const path = join(folder, 'rpmdb.sqlite');
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
    database.exec("CREATE TABLE 'Name' (key TEXT NOT NULL, hnum INTEGER NOT NULL)");
    database.exec("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)");
    const insert = database.prepare('INSERT INTO Packages (blob) VALUES (?)');
    for (const [at, header] of headers.entries()) {
      if (at >= headers.length / 2 && inLog)
        database.exec(at === Math.ceil(headers.length / 2) ? 'PRAGMA wal_checkpoint(TRUNCATE)' : '');
      insert.run(header);
    }
    if (!inLog) database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    return { data: readFileSync(path), wal: readFileSync(`${path}-wal`) };
  } finally {
    database.close();
    rmSync(folder, { recursive: true });
  }
}

/** A Packages.db of rpm's own. */
export function ndbDatabase(headers: readonly Buffer[]): Buffer {
  const slots: Buffer[] = [];
  const blobs: Buffer[] = [];
  let block = 4096 / 16;
  for (const [at, header] of headers.entries()) {
    const size = Math.ceil((16 + header.length + 12) / 16) * 16;
    const blob = Buffer.alloc(size);
    Buffer.concat([Buffer.from('BlbS'), littleEndian(at + 1, 1, header.length), header]).copy(blob);
    blobs.push(blob);
    slots.push(Buffer.concat([Buffer.from('Slot'), littleEndian(at + 1, block, size / 16)]));
    block += size / 16;
  }
  const first = Buffer.alloc(4096);
  const head = Buffer.concat([Buffer.from('RpmP'), littleEndian(0, 1, 1, headers.length + 1)]);
  head.copy(first);
  Buffer.concat(slots).copy(first, 32);
  return Buffer.concat([first, ...blobs]);
}

/** A Packages of Berkeley DB: one page of the hash, each header in overflow pages. */
export function berkeleyDatabase(headers: readonly Buffer[]): Buffer {
  const pageBytes = 4096;
  const meta = Buffer.alloc(pageBytes);
  meta.writeUInt32LE(0x061561, 12);
  meta.writeUInt32LE(9, 16);
  meta.writeUInt32LE(pageBytes, 20);
  const hash = Buffer.alloc(pageBytes);
  hash[25] = 13;
  const pages = [meta, hash];
  const items: Buffer[] = [
    Buffer.concat([Buffer.from([1]), littleEndian(0)]),
    Buffer.concat([Buffer.from([1]), littleEndian(9)]),
  ];
  for (const [at, header] of headers.entries()) {
    items.push(Buffer.concat([Buffer.from([1]), littleEndian(at + 1)]));
    items.push(Buffer.concat([Buffer.from([3, 0, 0, 0]), littleEndian(pages.length, header.length)]));
    for (let start = 0; start < header.length; start += pageBytes - 26) {
      const part = header.subarray(start, start + pageBytes - 26);
      const page = Buffer.alloc(pageBytes);
      page.writeUInt32LE(pages.length + 1, 16);
      page.writeUInt16LE(part.length, 22);
      page[25] = 7;
      part.copy(page, 26);
      pages.push(page);
    }
  }
  hash.writeUInt16LE(items.length, 20);
  let end = pageBytes;
  for (const [at, item] of items.entries()) {
    end -= item.length;
    item.copy(hash, end);
    hash.writeUInt16LE(end, 26 + at * 2);
  }
  return Buffer.concat(pages);
}
