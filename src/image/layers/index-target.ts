/**
 * A layer whose tar is kept as it is: its bytes go into `layer.tar`, and one pass over them makes `layer.erofs`, an
 * EROFS image of names and attributes that points into the tar for content. What cannot be pointed at, the content of
 * sparse files, goes into `layer.spill`.
 */
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TarIndexer } from './erofs/tar-index.ts';
import { INDEX_NAME, SPILL_NAME, TAR_NAME } from './layer-files.ts';
import type { LayerFacts, LayerTarget, TargetOptions } from './layer-target.ts';
import { PlainFiles } from './tar/plain-files.ts';
import { TarReader } from './tar/tar-reader.ts';

/** Smaller chunks are gathered: a write of a megabyte costs hardly more than one of a few bytes. */
const WRITE_BYTES = 1024 * 1024;
const SMALL_BYTES = 128 * 1024;
/** Zeros are looked for in pieces of this size, a multiple of any file system's block. */
const HOLE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE_BYTES);
/** EROFS reads whole blocks of this size. */
const BLOCK_BYTES = 512;

export class IndexTarget implements LayerTarget {
  readonly #directory: string;
  readonly #indexer: TarIndexer;
  readonly #reader: TarReader;
  readonly #tar: TarFile;
  #spillFd = -1;

  constructor(directory: string, options: TargetOptions) {
    this.#directory = directory;
    this.#tar = new TarFile(join(directory, TAR_NAME), options.findHoles);
    this.#indexer = new TarIndexer({ spill: (data, position) => this.#spill(data, position) });
    this.#reader = new TarReader(options.plainFiles === true ? new PlainFiles(this.#indexer) : this.#indexer);
  }

  write(chunk: Buffer): void {
    this.#tar.write(chunk);
    this.#reader.push(chunk);
  }

  #spill(data: Buffer, position: number): void {
    if (this.#spillFd < 0) this.#spillFd = openSync(join(this.#directory, SPILL_NAME), 'wx', 0o600);
    writeWhole(this.#spillFd, data, position);
  }

  finish(): LayerFacts {
    this.#reader.finish();
    const { index, sizeBytes, hasRootEntry, hasOpaqueRoot, spillBytes } = this.#indexer.finish();
    const tarSizeBytes = this.#tar.finish();
    if (spillBytes > 0) {
      /* One long hole has never been spilled. */
      if (this.#spillFd < 0) this.#spillFd = openSync(join(this.#directory, SPILL_NAME), 'wx', 0o600);
      ftruncateSync(this.#spillFd, wholeBlocks(spillBytes));
    }
    writeFileSync(join(this.#directory, INDEX_NAME), index, { flag: 'wx', mode: 0o600 });
    this.abort();
    return { sizeBytes, hasRootEntry, hasOpaqueRoot, tarSizeBytes, spillSizeBytes: spillBytes };
  }

  abort(): void {
    this.#tar.close();
    if (this.#spillFd >= 0) closeSync(this.#spillFd);
    this.#spillFd = -1;
  }
}

/** The tar on its way to the disk. */
class TarFile {
  #fd: number;
  readonly #findHoles: boolean;
  readonly #gathered = Buffer.allocUnsafe(WRITE_BYTES);
  #gatheredBytes = 0;
  /** Where the next write goes: the gathered bytes come before what is taken next. */
  #position = 0;

  constructor(path: string, findHoles: boolean) {
    this.#fd = openSync(path, 'wx', 0o600);
    this.#findHoles = findHoles;
  }

  write(chunk: Buffer): void {
    if (chunk.length >= SMALL_BYTES) {
      this.#flush();
      this.#store(chunk);
      return;
    }
    if (this.#gatheredBytes + chunk.length > WRITE_BYTES) this.#flush();
    chunk.copy(this.#gathered, this.#gatheredBytes);
    this.#gatheredBytes += chunk.length;
  }

  #flush(): void {
    if (this.#gatheredBytes === 0) return;
    this.#store(this.#gathered.subarray(0, this.#gatheredBytes));
    this.#gatheredBytes = 0;
  }

  #store(bytes: Buffer): void {
    let from = 0;
    if (this.#findHoles) {
      const first = (HOLE_BYTES - (this.#position % HOLE_BYTES)) % HOLE_BYTES;
      for (let at = first; at + HOLE_BYTES <= bytes.length; at += HOLE_BYTES) {
        // Nearly all blocks are told by their ends.
        if (bytes[at] !== 0 || bytes[at + HOLE_BYTES - 1] !== 0) continue;
        if (ZEROS.compare(bytes, at, at + HOLE_BYTES) !== 0) continue;
        writeWhole(this.#fd, bytes.subarray(from, at), this.#position + from);
        from = at + HOLE_BYTES;
      }
    }
    writeWhole(this.#fd, bytes.subarray(from), this.#position + from);
    this.#position += bytes.length;
  }

  /** Gives the tar's length; the file ends with a whole block. */
  finish(): number {
    this.#flush();
    ftruncateSync(this.#fd, wholeBlocks(this.#position));
    return this.#position;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function wholeBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function writeWhole(fd: number, data: Buffer, position: number): void {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, position + at);
}
