/**
 * What a RUN has written, from its end until its upper directory is gone: the next step lies on the directory at once,
 * while it is stored as a layer; whoever comes later lies on the layer.
 */
import type { DiffID } from '../../image/digest.ts';
import type { CommittedLayer, UpperDirectory } from '../../image/layers/snapshotter.ts';
import type { PendingLayer, StackedLayer } from './run-step.ts';

export interface UpperLayerOptions {
  /** With nothing in it: nothing is stored, and it is not part of any root. */
  empty: boolean;
  commit(signal: AbortSignal): Promise<CommittedLayer>;
  /** Removes the directory. */
  remove(): Promise<void>;
}

export class UpperLayer implements PendingLayer {
  readonly upper: string;
  readonly empty: boolean;
  readonly committed: Promise<CommittedLayer | undefined>;
  readonly #options: UpperLayerOptions;
  readonly #abort = new AbortController();
  readonly #gone = Promise.withResolvers<void>();
  #stored: DiffID | undefined;
  #committing = true;
  #users = 0;
  #released = false;
  #removing = false;

  constructor(upper: string, options: UpperLayerOptions) {
    this.upper = upper;
    this.empty = options.empty;
    this.#options = options;
    this.committed = this.#commit();
    // Whoever wants to know awaits it; a step that nobody asks for any more has no reader.
    this.committed.catch(() => undefined);
    this.#gone.promise.catch(() => undefined);
  }

  async #commit(): Promise<CommittedLayer | undefined> {
    try {
      if (this.empty) return undefined;
      const layer = await this.#options.commit(this.#abort.signal);
      this.#stored = layer.diffId;
      return layer;
    } finally {
      this.#committing = false;
      this.#removeUnused();
    }
  }

  /** What a root lies on; undefined for nothing. `done` is called once it does so no longer. */
  use(): { part: DiffID | UpperDirectory | undefined; done(): void } {
    if (this.empty) return { part: undefined, done: () => undefined };
    if (this.#stored !== undefined) return { part: this.#stored, done: () => undefined };
    this.#users++;
    let used = true;
    const done = (): void => {
      if (!used) return;
      used = false;
      this.#users--;
      this.#removeUnused();
    };
    return { part: { upper: this.upper }, done };
  }

  async release(): Promise<void> {
    this.#released = true;
    this.#abort.abort(new Error('the layer is not needed any more'));
    this.#removeUnused();
    // Steps that still lie on it end by themselves.
    if (this.#users === 0) await this.#gone.promise;
  }

  #removeUnused(): void {
    if (!this.#released || this.#committing || this.#users > 0 || this.#removing) return;
    this.#removing = true;
    this.#options.remove().then(this.#gone.resolve, this.#gone.reject);
  }
}

/** The parts of a root filesystem, base first, kept until `done`. */
export function useLayers(layers: readonly StackedLayer[]): {
  parts: (DiffID | UpperDirectory)[];
  done(): void;
} {
  const uses = layers.map((layer) => {
    if (layer instanceof UpperLayer) return layer.use();
    if (typeof layer === 'string') return { part: layer, done: () => undefined };
    const { empty, upper } = layer as PendingLayer;
    return { part: empty ? undefined : { upper }, done: () => undefined };
  });
  return {
    parts: uses.flatMap(({ part }) => part ?? []),
    done: () => {
      for (const use of uses) use.done();
    },
  };
}
