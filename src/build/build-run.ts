/**
 * What the steps of one build share: the request, the engine's stores, mounted roots, the cache, the images made. It
 * knows nothing of instructions; see steps.ts.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildMessage } from '../api/build.ts';
import type { DiffID, ImageID } from '../image/digest.ts';
import type { MountOwners } from '../image/layers/mapped-mounts.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import { formatPlatform, type Platform } from '../image/platform.ts';
import type { PullRequest } from '../image/pull/puller.ts';
import type { ContentStore } from '../image/store/content-store.ts';
import type { AddLayer, Hold, Image, ImageStore } from '../image/store/image-store.ts';
import type { BuildArgs } from './build-args.ts';
import type { BuildCache } from './build-cache.ts';
import type { BuildRequest } from './request.ts';
import { childConfig, scratchConfig } from './solve/image-layout.ts';
import type { StageState } from './stage-state.ts';
import type { StepRunner } from './step-runner.ts';

/** The parts of the engine that a build uses. */
export interface BuildStores {
  imageStore: Pick<ImageStore, 'tryResolve' | 'get' | 'add' | 'tag' | 'hold' | 'keepBlob'>;
  contentStore: Pick<ContentStore, 'ingestFile'>;
  snapshotter: Pick<Snapshotter, 'mount' | 'unmount' | 'commit'>;
  puller: { pull(request: PullRequest): Promise<Image> };
  stepRunner: StepRunner;
}

export interface BuildRunOptions extends BuildStores {
  request: BuildRequest;
  args: BuildArgs;
  cache: BuildCache;
  /** The build's own folder; gone after it. */
  folder: string;
  /** Unpacked. */
  context: string;
  platform: Platform;
  /** RFC 3339 time of everything that this build makes. */
  created: string;
  onMessage(message: BuildMessage): void;
  signal: AbortSignal;
}

export class BuildRun {
  readonly options: BuildRunOptions;
  readonly #holds: Hold[] = [];
  #mounts = 0;
  /** Once a step of a stage was not cached, no later one is looked for. */
  #cacheBroken = false;

  constructor(options: BuildRunOptions) {
    this.options = options;
  }

  get signal(): AbortSignal {
    return this.options.signal;
  }

  print(text: string): void {
    this.options.onMessage({ stream: text });
  }

  beginStage(): void {
    this.#cacheBroken = this.options.request.noCache;
  }

  /** Keeps an image's layers while the build goes on. */
  async keep(layers: readonly DiffID[]): Promise<void> {
    this.#holds.push(await this.options.imageStore.hold({ layers }));
  }

  /** Mounts layers, with a fresh upper directory where `writable`, and undoes it whatever `body` does. */
  async withRoot<T>(
    layers: readonly DiffID[],
    writable: boolean,
    body: (rootfs: string, upper: string) => Promise<T>,
    owners?: MountOwners,
  ): Promise<T> {
    const folder = join(this.options.folder, `mount-${this.#mounts++}`);
    const [target, upper, work] = [join(folder, 'root'), join(folder, 'upper'), join(folder, 'work')];
    for (const path of [target, upper, work]) mkdirSync(path, { recursive: true, mode: 0o700 });
    // The upper directory's attributes are those of the root inside.
    chmodSync(upper, 0o755);
    await this.options.snapshotter.mount({
      layers,
      target,
      ...(writable ? { upper, work } : {}),
      ...(owners === undefined ? {} : { owners }),
    });
    try {
      return await body(target, upper);
    } finally {
      await this.options.snapshotter.unmount(target);
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Stores the changes of an upper directory as a layer. */
  async commitLayer(upper: string): Promise<AddLayer> {
    const layer = await this.options.snapshotter.commit(upper, this.signal);
    await this.keep([layer.diffId]);
    return await this.options.imageStore.keepBlob(layer);
  }

  /** The cached result of `step`; becomes the stage's image. */
  useCache(state: StageState, step: string): boolean {
    if (this.#cacheBroken) return false;
    const parent = this.#cacheParent(state);
    const key = cacheKey(state, step);
    const id = this.options.cache.find(parent, key);
    const image = id === undefined ? undefined : this.options.imageStore.get(id);
    if (image === undefined) {
      if (id !== undefined) this.options.cache.forget(parent, key);
      this.#cacheBroken = true;
      return false;
    }
    this.print(' ---> Using cache\n');
    state.use(image);
    return true;
  }

  /** Makes the image of a step on top of the stage's; `layer` undefined where only the configuration changed. */
  makeImage(state: StageState, step: string, layer?: AddLayer, key = cacheKey(state, step)): void {
    const parent = state.image?.config ?? scratchConfig(state.platform);
    const config = childConfig({
      parent,
      config: state.config,
      createdBy: step,
      created: this.options.created,
      author: state.author,
      ...(layer === undefined ? {} : { layer: layer.diffId }),
    });
    const parentKey = this.#cacheParent(state);
    const image = this.options.imageStore.add({
      configBytes: Buffer.from(JSON.stringify(config)),
      layers: config.rootfs.diff_ids.map((diffId) => (diffId === layer?.diffId ? layer : { diffId })),
      ...(state.image === undefined ? {} : { parent: state.image.id }),
    });
    this.options.cache.store(parentKey, key, image.id);
    state.use(image);
  }

  #cacheParent(state: StageState): ImageID | string {
    return state.image?.id ?? `scratch ${formatPlatform(state.platform)}`;
  }

  newId(): string {
    return randomBytes(32).toString('hex');
  }

  async end(): Promise<void> {
    for (const hold of this.#holds.splice(0)) await hold.release();
  }
}

/** What ENTRYPOINT does depends on whether the stage had a CMD. */
export function cacheKey(state: StageState, step: string): string {
  return state.cmdSet ? `${step}\0cmd` : step;
}
