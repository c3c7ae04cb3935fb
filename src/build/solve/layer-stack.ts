/**
 * The layers of a stage so far. A RUN's changes can be built upon before they are stored as a layer; until then the
 * stack has their upper directory, and its chainID is not known.
 */
import { createHash } from 'node:crypto';
import type { DiffID } from '../../image/digest.ts';
import { chainAfter, chainIds } from '../../image/image-config.ts';
import type { UpperDirectory } from '../../image/layers/snapshotter.ts';
import type { PendingLayer, StackedLayer } from '../run/run-step.ts';
import type { BuiltLayer } from './solved.ts';

type Entry =
  | { kind: 'stored'; layer: BuiltLayer }
  | {
      kind: 'pending';
      pending: PendingLayer;
      stored: Promise<BuiltLayer | undefined>;
      /** Once it is known; null where the step changed nothing. */
      layer?: BuiltLayer | null;
    };

export class LayerStack {
  readonly #base: readonly BuiltLayer[];
  readonly #entries: Entry[] = [];
  #lineage = '';
  /** ChainID of the base and of so many entries. */
  #chain: string;
  #chained = 0;

  /** `base`: layers that other images may share, so that it pays to merge them. */
  constructor(base: readonly BuiltLayer[], above: readonly BuiltLayer[] = []) {
    this.#base = base;
    this.#chain = chainOf(base);
    for (const layer of above) this.#entries.push({ kind: 'stored', layer });
  }

  /** Names what the stack is, by its layers where those are known, else by how it came to be. */
  get lineage(): string {
    const chain = this.#knownChain();
    return chain === undefined ? `steps ${this.#lineage}` : `layers ${chain}`;
  }

  /** Undefined as long as an entry is not stored. Each entry is hashed once, however many steps ask. */
  #knownChain(): string | undefined {
    for (;;) {
      const entry = this.#entries[this.#chained];
      if (entry === undefined) return this.#chain;
      if (entry.layer === undefined) return undefined;
      if (entry.layer !== null) this.#chain = chainAfter(this.#chain, entry.layer.diffId);
      this.#chained++;
    }
  }

  get baseLayers(): readonly BuiltLayer[] {
    return this.#base;
  }

  /** A step is done that changed nothing, or made a layer. */
  push(step: string, layer: BuiltLayer | undefined): void {
    this.#lineage = lineageAfter(this.lineage, step);
    if (layer !== undefined) this.#entries.push({ kind: 'stored', layer });
  }

  /** `stored` rejects where the layer cannot be stored, which `settle` throws. */
  pushPending(step: string, pending: PendingLayer, stored: Promise<BuiltLayer | undefined>): void {
    this.#lineage = lineageAfter(this.lineage, step);
    const entry: Entry = { kind: 'pending', pending, stored };
    this.#entries.push(entry);
    stored.then(
      (layer) => {
        entry.layer = layer ?? null;
      },
      () => {},
    );
  }

  /** Those that are known now. */
  storedLayers(): BuiltLayer[] {
    const above = this.#entries.flatMap(({ layer }) =>
      layer === undefined || layer === null ? [] : [layer],
    );
    return [...this.#base, ...above];
  }

  /** For RUN. */
  stacked(): StackedLayer[] {
    return [
      ...this.#base.map(({ diffId }) => diffId),
      ...this.#entries.map((entry) => (entry.kind === 'stored' ? entry.layer.diffId : entry.pending)),
    ];
  }

  /** For mounts. */
  mountable(): { layers: DiffID[]; above: (DiffID | UpperDirectory)[] } {
    const above = this.#entries.flatMap((entry): (DiffID | UpperDirectory)[] => {
      if (entry.kind === 'stored') return [entry.layer.diffId];
      return entry.pending.empty ? [] : [{ upper: entry.pending.upper }];
    });
    return { layers: this.#base.map(({ diffId }) => diffId), above };
  }

  /** Steps' layers, all stored. Uppers stay, for mounts that have them still. */
  async settleAbove(): Promise<BuiltLayer[]> {
    const layers: BuiltLayer[] = [];
    for (const entry of [...this.#entries]) {
      const layer = entry.kind === 'stored' ? entry.layer : await entry.stored;
      if (layer !== undefined) layers.push(layer);
    }
    return layers;
  }

  /** ChainID of all layers; empty without any. */
  async chain(): Promise<string> {
    const known = this.#knownChain();
    if (known !== undefined) return known;
    return chainOf([...this.#base, ...(await this.settleAbove())]);
  }

  /** Once nothing mounts them any more. What is not stored yet will not be. */
  async releaseUppers(): Promise<void> {
    await Promise.all(
      this.#entries.map((entry) => (entry.kind === 'pending' ? entry.pending.release() : undefined)),
    );
  }
}

export function chainOf(layers: readonly Pick<BuiltLayer, 'diffId'>[]): string {
  return chainIds(layers.map(({ diffId }) => diffId)).at(-1) ?? '';
}

function lineageAfter(lineage: string, step: string): string {
  return createHash('sha256').update(`${lineage}\0${step}`).digest('hex');
}
