/**
 * The files of one log: `path`, and what rotation made of its predecessors, `path.1` or `path.1.gz` and so on, the
 * highest number oldest. Supervisors rotate and compress under a reader's feet: a file is known by its inode, and a
 * compressed one names in its gzip header the inode that it was made of.
 */
import {
  closeSync,
  createReadStream,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { errnoCode, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';

const READ_BYTES = 256 * 1024;
/** A file that is renamed or compressed while it is looked for is looked for again; after so many times it is gone. */
const ATTEMPTS = 10;
const NAME_FLAG = 8;
const FIXED_HEADER_BYTES = 10;

/** One file being read. */
export interface LogSource {
  readonly inode: number;
  /** Where the next bytes stand in the file as it was written; undefined before that is known. */
  readonly offset: number | undefined;
  /** The next bytes; none at the end, where a plain file may go on later. */
  read(): Promise<Buffer>;
  close(): void;
}

/** A place in a log, for as long as its file is kept, rotated and compressed or not. */
export interface LogPlace {
  inode: number;
  /** In the file as it was written. */
  offset: number;
}

/** Paths of a log's files, oldest first. Of a number that has both forms, the compressed one is whole. */
export function logFiles(path: string): string[] {
  const numbered = [...rotatedNames(path)].sort(([left], [right]) => right - left);
  return [...numbered.map(([, name]) => join(dirname(path), name)), path];
}

function rotatedNames(path: string): Map<number, string> {
  const prefix = `${basename(path)}.`;
  const numbers = new Map<number, string>();
  for (const name of namesIn(dirname(path))) {
    const parsed = name.startsWith(prefix) ? /^(\d{1,6})(\.gz)?$/.exec(name.slice(prefix.length)) : null;
    if (parsed === null) continue;
    const number = Number(parsed[1]);
    if (parsed[2] !== undefined || !numbers.has(number)) numbers.set(number, name);
  }
  return numbers;
}

/** Opens a file of a log; undefined where it is not there (yet, or any more). */
export function openLogFile(path: string): LogSource | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  return path.endsWith('.gz') ? new PackedSource(fd) : new PlainSource(fd);
}

/** Where reading begins for the last `tail` lines of all files; undefined where there is no file. */
export async function openLogTail(path: string, tail: number): Promise<LogSource | undefined> {
  let wanted = tail;
  let found: LogSource | undefined;
  for (const file of logFiles(path).reverse()) {
    const source = openLogFile(file);
    if (source === undefined) continue;
    found?.close();
    found = source;
    wanted -= source instanceof PlainSource ? source.seekBack(wanted) : await keepLast(file, source, wanted);
    if (wanted <= 0) break;
  }
  return found;
}

/** Opens a log at a place; where its file is gone, all that is left comes after it. */
export function openLogAt(path: string, { inode, offset }: LogPlace): LogSource | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { file } = find(path, inode) ?? {};
    const source = file === undefined ? undefined : openLogFile(file);
    if (file !== undefined && source !== undefined && isFile(file, inode)) {
      if (source instanceof PlainSource) source.offset = offset;
      else if (source instanceof PackedSource) source.skipBytes = offset;
      return source;
    }
    source?.close();
  }
  return openLogFile(logFiles(path)[0] ?? path);
}

/** The file that was begun after the one being read; undefined where that is the newest, or where it is not there yet. */
export function nextLogFile(path: string, { inode }: LogSource): LogSource | undefined {
  let isGone = true;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = find(path, inode);
    if (found === undefined) continue;
    isGone = false;
    if (found.number === 0) return undefined;
    const source = openForm(path, found.number - 1);
    // The oldest is renamed first: as long as this one has its name, so has the next.
    if (source !== undefined && isFile(found.file, inode)) return source;
    source?.close();
  }
  return isGone ? openLogFile(logFiles(path)[0] ?? path) : undefined;
}

/**
 * The name that a file has now. Names are tried from the newest on, for they move to higher numbers meanwhile, and the
 * inode of a file that is long gone may stand in an old header; a plain one goes when its compressed form is there.
 */
function find(path: string, inode: number): { number: number; file: string } | undefined {
  const highest = Math.max(0, ...rotatedNames(path).keys()) + 2;
  for (let number = 0; number <= highest; number++) {
    const file = formsOf(path, number).find((form) => isFile(form, inode));
    if (file !== undefined) return { number, file };
  }
  return undefined;
}

function openForm(path: string, number: number): LogSource | undefined {
  for (const form of formsOf(path, number)) {
    const source = openLogFile(form);
    if (source !== undefined) return source;
  }
  return undefined;
}

const formsOf = (path: string, number: number): string[] =>
  number === 0 ? [path] : [`${path}.${number}`, `${path}.${number}.gz`];

/**
 * Empties a log, also under a supervisor that writes it: that one appends, and notices when it looks for the need to
 * rotate. What is written meanwhile is kept or goes, line by line.
 */
export function clearLogFiles(path: string): void {
  try {
    truncateSync(path);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
  for (const file of logFiles(path)) if (file !== path) rmSync(file, { force: true });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function isFile(path: string, inode: number): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.ino === inode) return true;
  return path.endsWith('.gz') && originOf(path) === inode;
}

/** The inode in the name field of a gzip header (RFC 1952, 2.3). */
function originOf(path: string): number | undefined {
  const header = Buffer.alloc(64);
  try {
    const fd = openSync(path, 'r');
    try {
      readSync(fd, header, 0, header.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    log.debug({ path, error: errorMessage(error) }, 'cannot read a compressed log');
    return undefined;
  }
  if (header[3] !== NAME_FLAG) return undefined;
  const name = header.toString('latin1', FIXED_HEADER_BYTES, header.indexOf(0, FIXED_HEADER_BYTES));
  return /^\d+$/.test(name) ? Number(name) : undefined;
}

class PlainSource implements LogSource {
  readonly inode: number;
  readonly #fd: number;
  offset = 0;

  constructor(fd: number) {
    this.#fd = fd;
    this.inode = fstatSync(fd).ino;
  }

  read(): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let length = readSync(this.#fd, buffer, 0, buffer.length, this.offset);
    if (length === 0 && fstatSync(this.#fd).size < this.offset) {
      // Somebody has emptied it: what stands there now is new.
      this.offset = 0;
      length = readSync(this.#fd, buffer, 0, buffer.length, 0);
    }
    this.offset += length;
    return Promise.resolve(buffer.subarray(0, length));
  }

  /** Goes in front of the last `lines` complete lines, and says how many there are. */
  seekBack(lines: number): number {
    const size = fstatSync(this.#fd).size;
    this.offset = size;
    if (lines <= 0) return 0;
    const buffer = Buffer.allocUnsafe(64 * 1024);
    let found = 0;
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - buffer.length);
      const length = readSync(this.#fd, buffer, 0, end - start, start);
      for (let at = length - 1; at >= 0; at--) {
        if (buffer[at] !== 0x0a) continue;
        if (found === lines) {
          this.offset = start + at + 1;
          return found;
        }
        found++;
      }
      end = start;
    }
    this.offset = 0;
    return found;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

class PackedSource implements LogSource {
  readonly inode: number;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #close: () => void;
  skipLines = 0;
  skipBytes = 0;
  #passedBytes = 0;

  constructor(fd: number) {
    this.inode = fstatSync(fd).ino;
    const file = createReadStream('', { fd, start: 0 });
    const unpacked = file.pipe(createGunzip());
    file.on('error', (error) => unpacked.destroy(error));
    this.#chunks = unpacked[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#close = () => {
      unpacked.destroy();
      file.destroy();
    };
  }

  get offset(): number | undefined {
    return this.skipLines > 0 ? undefined : Math.max(this.skipBytes, this.#passedBytes);
  }

  async read(): Promise<Buffer> {
    for (;;) {
      const chunk = await this.#next();
      const begin = Math.min(chunk.length, Math.max(0, this.skipBytes - this.#passedBytes));
      this.#passedBytes += chunk.length;
      if (chunk.length === 0) return chunk;
      const rest = this.#skip(chunk.subarray(begin));
      if (rest.length > 0) return rest;
    }
  }

  async #next(): Promise<Buffer> {
    try {
      const { done, value } = await this.#chunks.next();
      return done === true ? Buffer.alloc(0) : value;
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'a compressed log is broken: the rest of it is left out');
      return Buffer.alloc(0);
    }
  }

  #skip(chunk: Buffer): Buffer {
    let at = 0;
    while (this.skipLines > 0) {
      const end = chunk.indexOf(0x0a, at);
      if (end < 0) return Buffer.alloc(0);
      at = end + 1;
      this.skipLines--;
    }
    return chunk.subarray(at);
  }

  close(): void {
    this.#close();
  }
}

/** Makes a compressed file begin at its last `lines` lines; that takes a pass over it to count them. */
async function keepLast(path: string, source: LogSource, lines: number): Promise<number> {
  if (!(source instanceof PackedSource)) return 0;
  const counted = openLogFile(path);
  if (counted === undefined) return 0;
  let total = 0;
  try {
    for (let chunk = await counted.read(); chunk.length > 0; chunk = await counted.read()) {
      for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) total++;
    }
  } finally {
    counted.close();
  }
  source.skipLines = Math.max(0, total - lines);
  return Math.min(total, lines);
}
