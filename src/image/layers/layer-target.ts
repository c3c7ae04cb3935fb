/**
 * What a driver makes of a layer's tar, on a worker thread: the bytes go in, in order, and the layer's files come to be
 * in a directory. Synchronous, and never more than a chunk behind.
 */
import { Extractor } from './extractor.ts';
import { TarReader } from './tar-reader.ts';
import type { LayerFiles } from './worker-protocol.ts';

/** What is known of a layer once it is stored. */
export interface LayerFacts {
  /** Sum of the sizes of the regular files. */
  sizeBytes: number;
  /** Whether the layer says something about the root directory itself, and whether it hides all that lies below it. */
  hasRootEntry: boolean;
  hasOpaqueRoot: boolean;
}

export interface LayerTarget {
  /** Takes tar bytes over. Throws InvalidParameter for a broken or hostile tar, naming the entry. */
  write(chunk: Buffer): void;
  /** There is no more: checks that the tar is whole and finishes the files. */
  finish(): LayerFacts;
  /** Lets go of everything; the files are the caller's to remove. Also after a failed `finish`. */
  abort(): void;
}

/** `findHoles`: aligned blocks of zeros in files become holes, where the format has holes. */
export function openTarget(files: LayerFiles, options: { findHoles: boolean }): LayerTarget {
  return new UnpackedTarget(files.directory, options);
}

class UnpackedTarget implements LayerTarget {
  readonly #extractor: Extractor;
  readonly #reader: TarReader;

  constructor(directory: string, options: { findHoles: boolean }) {
    this.#extractor = new Extractor(directory, options);
    this.#reader = new TarReader(this.#extractor);
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
