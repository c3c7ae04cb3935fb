/**
 * Leaves of one directory that are copied together: they stay where the selection has them (file-table.ts) until the layer
 * is written, so that a million of them need no objects of their own. A leaf is anything but a directory.
 */
import type { LayerContent, LayerEntry, LayerFileRun } from '../../image/layers/snapshotter.ts';
import { type ByteString, EMPTY } from '../../image/layers/tar/byte-string.ts';

export interface Leaf {
  entry: Omit<LayerEntry, 'name'>;
  content: LayerContent | undefined;
  /** The same object for all names of one file. */
  file: object | undefined;
}

export interface LeafBlock {
  readonly count: number;
  /** Sorted by bytes, each once. */
  name(index: number): ByteString;
  /** The place of a name, or -1. */
  find(name: ByteString): number;
  isLink(index: number): boolean;
  /** Target of a symbolic link. */
  link(index: number): ByteString;
  leaf(index: number): Leaf;
  /** Whether it can be in a run: a file without attributes or further names. */
  isPlain(index: number): boolean;
  /** The leaves of these places, all of them plain, for a directory of the layer. */
  run(indexes: Uint32Array, to: ByteString): LayerFileRun;
}

/** What of a directory's blocks is to be seen: of each name the last, and none that something else has taken. */
export class LeafBlocks {
  readonly #blocks: LeafBlock[] = [];

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  add(block: LeafBlock): void {
    this.#blocks.push(block);
  }

  /** The last that has a name. */
  find(name: ByteString): { block: LeafBlock; index: number } | undefined {
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const block = this.#blocks[i];
      const index = block?.find(name) ?? -1;
      if (block !== undefined && index >= 0) return { block, index };
    }
    return undefined;
  }

  /** All names that are to be seen, sorted, each with where it is. */
  *visible(isTaken: (name: ByteString) => boolean): Generator<{ block: LeafBlock; index: number }> {
    const next = this.#blocks.map(() => 0);
    for (;;) {
      let least: ByteString | undefined;
      for (const [i, block] of this.#blocks.entries()) {
        const at = next[i] ?? 0;
        const name = at < block.count ? block.name(at) : undefined;
        if (name !== undefined && (least === undefined || name < least)) least = name;
      }
      if (least === undefined) return;
      let found: { block: LeafBlock; index: number } | undefined;
      for (const [i, block] of this.#blocks.entries()) {
        const at = next[i] ?? 0;
        if (at >= block.count || block.name(at) !== least) continue;
        found = { block, index: at };
        next[i] = at + 1;
      }
      if (found !== undefined && !isTaken(least)) yield found;
    }
  }
}

/** Gathers plain leaves that come one after the other, up to the size of a run. */
export class RunGatherer {
  readonly #to: ByteString;
  #block: LeafBlock | undefined;
  #indexes: number[] = [];

  constructor(to: ByteString = EMPTY) {
    this.#to = to;
  }

  /** Whether a leaf can be added to what is there. */
  takes(block: LeafBlock): boolean {
    return this.#indexes.length === 0 || (this.#block === block && this.#indexes.length < RUN_FILES);
  }

  add(block: LeafBlock, index: number): void {
    this.#block = block;
    this.#indexes.push(index);
  }

  /** What was gathered, which begins anew. */
  take(): LayerFileRun | undefined {
    const run =
      this.#indexes.length === 0 ? undefined : this.#block?.run(Uint32Array.from(this.#indexes), this.#to);
    this.#indexes = [];
    return run;
  }
}

/** So many make a message to the layer worker of about 100 kB. */
const RUN_FILES = 800;
