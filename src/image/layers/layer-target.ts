/**
 * What a driver makes of a layer's tar, on a worker thread: the bytes go in, in order, and the layer's files come to be
 * in a directory. Synchronous, and never more than a chunk behind.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Extractor } from './extractor.ts';
import { IndexTarget } from './index-target.ts';
import { PlainFiles } from './tar/plain-files.ts';
import { TarReader } from './tar/tar-reader.ts';
import type { LayerFiles } from './work/worker-protocol.ts';

/** What is known of a layer once it is stored. */
export interface LayerFacts {
  /** Sum of the sizes of the regular files. */
  sizeBytes: number;
  /** Whether the layer says something about the root directory itself, and whether it hides all that lies below it. */
  hasRootEntry: boolean;
  hasOpaqueRoot: boolean;
  /** Where the tar is kept: its length, and that of the file that has the content of sparse files (0: there is none). */
  tarSizeBytes?: number;
  spillSizeBytes?: number;
}

export interface LayerTarget {
  /** Takes tar bytes over. Throws InvalidParameter for a broken or hostile tar, naming the entry. */
  write(chunk: Buffer): void;
  /** There is no more: checks that the tar is whole and finishes the files. */
  finish(): LayerFacts;
  /** Lets go of everything; the files are the caller's to remove. Also after a failed `finish`. */
  abort(): void;
}

export interface TargetOptions {
  /** Aligned blocks of zeros take no room on the disk: for layers that are made here, of files that may have holes. */
  findHoles: boolean;
  /** The tar is an archive of files, in which layers' own names are refused. */
  plainFiles?: boolean;
}

/** Where an unpacked layer's tree lies in the layer's directory. */
export const TREE_NAME = 'fs';

export function openTarget(files: LayerFiles, options: TargetOptions): LayerTarget {
  return files.format === 'indexed'
    ? new IndexTarget(files.directory, options)
    : new UnpackedTarget(files.directory, options);
}

class UnpackedTarget implements LayerTarget {
  readonly #extractor: Extractor;
  readonly #reader: TarReader;

  constructor(directory: string, options: TargetOptions) {
    const tree = join(directory, TREE_NAME);
    mkdirSync(tree, { mode: 0o755 });
    this.#extractor = new Extractor(tree, options);
    this.#reader = new TarReader(
      options.plainFiles === true ? new PlainFiles(this.#extractor) : this.#extractor,
    );
  }

  write(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  finish(): LayerFacts {
    this.#reader.finish();
    this.#extractor.finish();
    const { sizeBytes, hasRootEntry, hasOpaqueRoot } = this.#extractor;
    return { sizeBytes, hasRootEntry, hasOpaqueRoot };
  }

  abort(): void {
    this.#extractor.abort();
  }
}
