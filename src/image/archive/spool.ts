/**
 * An archive that comes as a stream, laid down so that it can be read in any order: manifests usually stand behind
 * what they name. Files are hashed as they come and stand under numbers, never under the archive's names, in a
 * temporary directory; small ones stay in memory as long as there is room for them.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import { type Digest, digestOf, parseDigest } from '../digest.ts';
import { bytesOf } from '../layers/tar/byte-string.ts';
import type { TarEntry } from '../layers/tar/tar-format.ts';
import { TarReader } from '../layers/tar/tar-reader.ts';
import { digestOfBlobPath } from './archive-layout.ts';
import { archivePath, symlinkTarget } from './archive-paths.ts';

/** An archive of a thousand images has some ten thousand entries. */
export const MAX_ENTRIES = 100_000;
const MAX_LINKS_FOLLOWED = 8;
/** Files up to this size stay in memory, all of them together up to the second. */
const MEMORY_FILE_BYTES = 64 << 10;
const MEMORY_BYTES = 32 << 20;
const WRITE_BYTES = 1 << 20;

interface StoredFile {
  digest: Digest;
  sizeBytes: number;
  /** Where the bytes are: one of the two. */
  bytes: Buffer | undefined;
  path: string | undefined;
}

export interface SpooledFile {
  digest: Digest;
  sizeBytes: number;
  /** A file of its own, which the caller may move away: `Spool.moved` then says where to. */
  path: string;
}

/** Takes an archive's bytes by `write` and `finish`; then its files can be asked for. */
export class Spool {
  readonly #directory: string;
  readonly #files = new Map<string, StoredFile>();
  readonly #links = new Map<string, string>();
  readonly #reader: TarReader;
  /** What the reader found in the chunk at hand and is not taken in yet. */
  readonly #found: Found[] = [];
  #entries = 0;
  #memoryBytes = 0;
  #nextNumber = 0;
  #open: OpenFile | undefined;

  /** `directory` exists, is empty, and is removed by the caller, whatever happens. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#reader = new TarReader({
      entry: (entry, body) => this.#found.push({ kind: 'entry', entry, body }),
      data: (chunk, position) => this.#found.push({ kind: 'data', chunk, position }),
      end: () => this.#found.push({ kind: 'end' }),
    });
  }

  /** Takes the next bytes, which may change once this has resolved. Throws InvalidParameter, naming the entry. */
  async write(chunk: Buffer): Promise<void> {
    this.#reader.push(chunk);
    for (const found of this.#found) await this.#take(found);
    this.#found.length = 0;
  }

  /** Throws where the archive is cut off. */
  finish(): void {
    this.#reader.finish();
    if (this.#entries === 0) throw new InvalidParameterError('image archive is empty');
  }

  /** Closes what is open; needed after a failure only, harmless otherwise. */
  async close(): Promise<void> {
    await this.#open?.abort();
    this.#open = undefined;
  }

  async #take(found: Found): Promise<void> {
    if (found.kind === 'entry') await this.#takeEntry(found.entry, found.body);
    else if (found.kind === 'data') await this.#open?.append(found.chunk, found.position);
    else {
      const file = this.#open;
      this.#open = undefined;
      if (file !== undefined) await this.#keep(file.name, await file.finish());
    }
  }

  async #takeEntry(entry: TarEntry, body: Buffer | undefined): Promise<void> {
    this.#entries += 1;
    if (this.#entries > MAX_ENTRIES) {
      throw new InvalidParameterError(`image archive has more than ${MAX_ENTRIES} entries`);
    }
    const name = archivePath(bytesOf(entry.name).toString('utf8'));
    switch (entry.type) {
      case 'directory':
        return;
      case 'symlink':
        this.#link(name, symlinkTarget(name, bytesOf(entry.linkName).toString('utf8')));
        return;
      case 'hardlink':
        this.#link(name, archivePath(bytesOf(entry.linkName).toString('utf8')));
        return;
      case 'file':
        break;
      default:
        throw new InvalidParameterError(
          `image archive: entry ${JSON.stringify(name)} is a ${entry.type}: only files, directories and links are allowed`,
        );
    }
    if (name === '') throw new InvalidParameterError('image archive: a file without a name');
    if (body !== undefined && this.#fitsMemory(body.length)) {
      const bytes = Buffer.from(body);
      await this.#keep(name, { digest: digestOf(bytes), sizeBytes: bytes.length, bytes, path: undefined });
      return;
    }
    const file = await OpenFile.create(name, this.#newPath(), entry.size);
    this.#open = file;
    if (body === undefined) return;
    await file.append(body, 0);
    this.#open = undefined;
    await this.#keep(name, await file.finish());
  }

  #fitsMemory(sizeBytes: number): boolean {
    return sizeBytes <= MEMORY_FILE_BYTES && this.#memoryBytes + sizeBytes <= MEMORY_BYTES;
  }

  #newPath(): string {
    this.#nextNumber += 1;
    return join(this.#directory, String(this.#nextNumber));
  }

  #link(name: string, target: string): void {
    if (this.#files.has(name) || this.#links.has(name)) throw twice(name);
    this.#links.set(name, target);
  }

  /** The same file twice is harmless, another one under the same name is not. */
  async #keep(name: string, file: StoredFile): Promise<void> {
    const wanted = digestOfBlobPath(name);
    if (wanted !== undefined && wanted !== file.digest) {
      throw new InvalidParameterError(`image archive: ${name} has digest ${file.digest}`);
    }
    const before = this.#files.get(name);
    if (this.#links.has(name) || (before !== undefined && before.digest !== file.digest)) throw twice(name);
    if (before !== undefined) {
      if (file.path !== undefined) await rm(file.path, { force: true });
      return;
    }
    if (file.bytes !== undefined) this.#memoryBytes += file.bytes.length;
    this.#files.set(name, file);
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** Names of all files and links. */
  names(): string[] {
    return [...this.#files.keys(), ...this.#links.keys()];
  }

  /** Digest and length of a file, through links; undefined where there is none. */
  stat(name: string): { digest: Digest; sizeBytes: number } | undefined {
    return this.#find(name);
  }

  /** A whole file. Throws InvalidParameter where it is missing or longer than `maxBytes`. */
  async read(name: string, maxBytes: number): Promise<Buffer> {
    const file = this.#need(name);
    if (file.sizeBytes > maxBytes) {
      throw new InvalidParameterError(
        `image archive: ${name} has ${file.sizeBytes} bytes, more than the ${maxBytes} allowed`,
      );
    }
    if (file.bytes !== undefined) return file.bytes;
    const handle = await open(file.path ?? '', 'r');
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }

  /** A file as one on the disk. Throws InvalidParameter where it is missing. */
  async file(name: string): Promise<SpooledFile> {
    const file = this.#need(name);
    if (file.path === undefined) {
      const path = this.#newPath();
      await writeFile(path, file.bytes ?? Buffer.alloc(0), { flag: 'wx', mode: 0o600 });
      file.path = path;
    }
    return { digest: file.digest, sizeBytes: file.sizeBytes, path: file.path };
  }

  /** Says that a file, which `file` gave, stands somewhere else now. */
  moved(name: string, path: string): void {
    this.#need(name).path = path;
  }

  #need(name: string): StoredFile {
    const file = this.#find(name);
    if (file === undefined) throw new InvalidParameterError(`image archive: file ${name} is missing`);
    return file;
  }

  #find(name: string): StoredFile | undefined {
    let at = name;
    for (let hop = 0; hop <= MAX_LINKS_FOLLOWED; hop += 1) {
      const target = this.#links.get(at);
      if (target === undefined) return this.#files.get(at);
      at = target;
    }
    throw new InvalidParameterError(`image archive: too many links behind ${JSON.stringify(name)}`);
  }
}

type Found =
  | { kind: 'entry'; entry: TarEntry; body: Buffer | undefined }
  | { kind: 'data'; chunk: Buffer; position: number }
  | { kind: 'end' };

function twice(name: string): InvalidParameterError {
  return new InvalidParameterError(`image archive: ${JSON.stringify(name)} is there twice`);
}

/** A file on its way to the disk. Bytes are copied into a buffer that is written when it is full. */
class OpenFile {
  readonly name: string;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #sizeBytes: number;
  readonly #hash: Hash = createHash('sha256');
  /** One is being filled while the other is being written. */
  #filling: Buffer;
  #spare: Buffer | undefined;
  #filled = 0;
  #written = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(name: string, path: string, file: FileHandle, sizeBytes: number) {
    this.name = name;
    this.#path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#filling = this.#newBuffer();
  }

  #newBuffer(): Buffer {
    return Buffer.allocUnsafe(Math.max(1, Math.min(WRITE_BYTES, this.#sizeBytes)));
  }

  static async create(name: string, path: string, sizeBytes: number): Promise<OpenFile> {
    return new OpenFile(name, path, await open(path, 'wx', 0o600), sizeBytes);
  }

  async append(chunk: Buffer, position: number): Promise<void> {
    if (position !== this.#written + this.#filled) throw sparse(this.name);
    this.#hash.update(chunk);
    let at = 0;
    while (at < chunk.length) {
      const length = chunk.copy(this.#filling, this.#filled, at);
      at += length;
      this.#filled += length;
      if (this.#filled === this.#filling.length) await this.#flush();
    }
  }

  /** Begins to write what is gathered; waits only for the write before it. */
  async #flush(): Promise<void> {
    await this.#writing;
    const full = this.#filling.subarray(0, this.#filled);
    const next = this.#spare ?? this.#newBuffer();
    this.#spare = this.#filling;
    this.#filling = next;
    const position = this.#written;
    this.#written += full.length;
    this.#filled = 0;
    this.#writing = this.#writeAll(full, position);
    this.#writing.catch(() => {
      // Reported by the next flush or by finish.
    });
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    let done = 0;
    try {
      while (done < bytes.length) {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw new InternalError(`cannot store ${this.name} of an image archive`, error);
    }
  }

  async finish(): Promise<StoredFile> {
    try {
      await this.#flush();
      await this.#writing;
    } finally {
      await this.#file.close();
    }
    if (this.#written !== this.#sizeBytes) throw sparse(this.name);
    const digest = parseDigest(`sha256:${this.#hash.digest('hex')}`);
    return { digest, sizeBytes: this.#written, bytes: undefined, path: this.#path };
  }

  async abort(): Promise<void> {
    await this.#writing.catch(() => {
      // The failure that led here was reported already, or is of no interest any more.
    });
    await this.#file.close();
  }
}

/** Nobody writes image archives with holes, and a hole of some terabytes would cost an archive nothing. */
function sparse(name: string): InvalidParameterError {
  return new InvalidParameterError(
    `image archive: ${JSON.stringify(name)} is a sparse file: write it without holes`,
  );
}
