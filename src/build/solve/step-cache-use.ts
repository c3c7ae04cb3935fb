/**
 * How one build uses the cache of steps: finds results here and in imported caches, holds what it found, stores what it
 * made, and writes down what it used. Imported caches are its caller's to release.
 */
import type { Hold, NewLayersHold } from '../../image/store/image-store.ts';
import type { CachedStep, CacheSource } from '../cache/cache-source.ts';
import type { StepCache } from '../cache/step-cache.ts';
import type { NewLayers } from '../new-layers.ts';
import { releaseAll } from '../release-all.ts';
import type { BuiltLayer, CacheMountUse, CacheTrail } from './solved.ts';

export interface StepCacheUseOptions {
  cache: StepCache;
  /** `--cache-from`, in the order of the request. */
  imports: readonly CacheSource[];
  /** Whether what is made is written down for other builds. */
  keeps: boolean;
  signal: AbortSignal;
}

export interface DoneStep {
  key: string;
  definition: string;
  layer: BuiltLayer | undefined;
  description: string;
  parent: string | undefined;
}

export class StepCacheUse {
  readonly #options: StepCacheUseOptions;
  readonly #holds: Hold[] = [];
  readonly #ends: (() => void)[] = [];
  readonly #made: NewLayersHold;
  readonly #storing = new Set<Promise<unknown>>();
  readonly #mounts = new Map<string, CacheMountUse>();
  readonly #trail = new Map<
    string,
    { definition: string; layer: BuiltLayer | undefined; aliases: Set<string> }
  >();
  /** Keys that an imported cache gave for what it was asked: nothing of that is written down. */
  readonly #imported = new Set<string>();

  constructor(options: StepCacheUseOptions) {
    this.#options = options;
    this.#made = options.cache.holdNew();
  }

  /** For whoever makes a layer of the build. At the end those go that neither a record nor an image has come to need. */
  get newLayers(): NewLayers {
    return this.#made;
  }

  get trail(): readonly CacheTrail[] {
    return [...this.#trail].map(([key, { definition, layer, aliases }]) => ({
      key,
      definition,
      layer,
      aliases: [...aliases],
    }));
  }

  get mounts(): readonly CacheMountUse[] {
    return [...this.#mounts.values()];
  }

  /** A RUN of the build has it, at whatever place. */
  noteMount(mount: CacheMountUse): void {
    const { scopedId, fromKey, mode, uid, gid } = mount;
    this.#mounts.set(JSON.stringify([scopedId, fromKey, mode, uid, gid]), mount);
  }

  /** Files of an imported cache for a cache mount that is new here. */
  async fillMount(mount: CacheMountUse, directory: string, signal: AbortSignal): Promise<boolean> {
    for (const source of this.#options.imports) {
      if ((await source.fillMount?.(mount, directory, signal)) === true) return true;
    }
    return false;
  }

  /** False where no key of this definition can be found anywhere. */
  async mayHave(definition: string): Promise<boolean> {
    if (this.#options.cache.mayHave(definition)) return true;
    for (const source of this.#options.imports) if (await source.mayHave(definition)) return true;
    return false;
  }

  /** `definition`: of the step that is looked for. */
  async find(key: string, definition: string): Promise<CachedStep | undefined> {
    const found = (await this.#findHere(key)) ?? (await this.#findElsewhere(key));
    if (found !== undefined) this.#remember({ ...found, definition }, key);
    return found;
  }

  /**
   * Takes what another build, or another stage of this one, did just now; false where its layer is gone already.
   * `alias`: as of `alias`.
   */
  async take(step: CachedStep, definition: string, alias: string | undefined): Promise<boolean> {
    const { cache } = this.#options;
    if (step.layer !== undefined) {
      const hold = await cache.hold(step.layer.diffId);
      // A layer that its cache has yet to bring is nobody's to let go.
      if (step.layer.remote === undefined && !cache.hasLayer(step.layer.diffId)) {
        await hold.release();
        return false;
      }
      this.#holds.push(hold);
    }
    this.#remember({ ...step, definition }, alias ?? step.key);
    return true;
  }

  /** A record's layer may be removed in the moment between finding and holding it. */
  async #findHere(key: string): Promise<CachedStep | undefined> {
    const { cache } = this.#options;
    const found = await cache.find(key);
    if (found === undefined) return undefined;
    if (found.layer === undefined) {
      this.#ends.push(cache.use(found.key));
      return found;
    }
    const hold = await cache.hold(found.layer.diffId);
    const still = await cache.find(key);
    if (still?.key !== found.key) {
      await hold.release();
      return undefined;
    }
    this.#holds.push(hold);
    this.#ends.push(cache.use(found.key));
    return still;
  }

  async #findElsewhere(key: string): Promise<CachedStep | undefined> {
    for (const source of this.#options.imports) {
      const found = await source.find(key, this.#options.signal);
      if (found === undefined) continue;
      this.#imported.add(found.key);
      return found;
    }
    return undefined;
  }

  /** What stores a result goes on beside the steps that follow; `release` waits for it. Whoever needs it hears of its failure. */
  settling<T>(storing: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = storing.then(
      () => this.#storing.delete(settled),
      () => this.#storing.delete(settled),
    );
    this.#storing.add(settled);
    return storing;
  }

  store(step: DoneStep): void {
    const { cache, keeps } = this.#options;
    if (keeps) {
      cache.store(step);
      this.#imported.delete(step.key);
      this.#ends.push(cache.keep(step.key));
    }
    this.#remember(step, step.key);
  }

  /** An imported cache may answer with any key, also one that a record of this machine has for another step. */
  alias(alias: string, key: string): void {
    const { cache, keeps } = this.#options;
    if (keeps && !this.#imported.has(key)) cache.alias(alias, key);
    if (alias !== key) this.#trail.get(key)?.aliases.add(alias);
  }

  #remember({ key, layer, definition }: CachedStep & { definition: string }, foundBy: string): void {
    const aliases = this.#trail.get(key)?.aliases ?? new Set();
    if (foundBy !== key) aliases.add(foundBy);
    this.#trail.set(key, { definition, layer, aliases });
  }

  async release(): Promise<void> {
    await Promise.all(this.#storing);
    for (const end of this.#ends.splice(0)) end();
    const holds = [...this.#holds.splice(0), this.#made];
    await releaseAll(holds.map((hold) => () => hold.release()));
  }
}
