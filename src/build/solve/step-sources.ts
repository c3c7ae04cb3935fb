/**
 * What steps take files from: the main context, named contexts, other stages, images. Each is opened when the first
 * step needs its files, shared by all steps of the build, and released with it. Where something names the files without
 * reading them (a stage's layers), a cached step opens nothing.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { DiffID } from '../../image/digest.ts';
import type { Platform } from '../../image/platform.ts';
import type { Image } from '../../image/store/image-store.ts';
import type { BuildLock } from '../lock/build-lock.ts';
import type { Progress } from '../progress.ts';
import { releaseAll } from '../release-all.ts';
import type { BuildSession } from '../session.ts';
import type { ContextSpec } from '../solve-request.ts';
import type { FetchedFile } from '../source/downloads.ts';
import type { SourceTree } from '../source/source-tree.ts';
import type { BuildParts } from './build-parts.ts';
import { chainOf } from './layer-stack.ts';
import type { BuildMaterial, BuiltLayer } from './solved.ts';

export interface StepSource {
  /** For error texts and definitions. */
  readonly title: string;
  /** The same for the same files, whatever the build; undefined where only reading them tells. */
  readonly identity: string | undefined;
  /** The same within one build. */
  readonly local: string;
  open(): Promise<SourceTree>;
}

export interface StepSourcesOptions {
  parts: Pick<BuildParts, 'sources' | 'images'>;
  named: Readonly<Record<string, ContextSpec>>;
  session: BuildSession | undefined;
  progress: Progress;
  signal: AbortSignal;
  /** The main context; its Dockerfile was read before. */
  main: () => Promise<SourceTree>;
  image: (reference: string, platform: Platform | undefined) => Promise<Image>;
  /** As SourceIo has it. */
  cacheNamespace: string | undefined;
  lock: Pick<BuildLock, 'pin'>;
}

export class StepSources {
  readonly #options: StepSourcesOptions;
  readonly #trees = new Map<string, Promise<SourceTree>>();
  readonly #fetched = new Map<string, Promise<FetchedFile>>();
  readonly #materials: BuildMaterial[] = [];

  constructor(options: StepSourcesOptions) {
    this.#options = options;
  }

  get materials(): readonly BuildMaterial[] {
    return this.#materials;
  }

  main(): StepSource {
    return {
      title: 'build context',
      identity: undefined,
      local: 'context',
      open: () => this.#once('context', () => this.#options.main()),
    };
  }

  layers(layers: readonly BuiltLayer[], title: string): StepSource {
    const chain = chainOf(layers);
    const diffIds = layers.map(({ diffId }) => diffId);
    return {
      title,
      identity: `layers ${chain}`,
      local: `layers ${chain}`,
      open: () => this.#once(`layers ${chain}`, () => this.#openLayers(layers, diffIds, title)),
    };
  }

  async #openLayers(
    layers: readonly BuiltLayer[],
    diffIds: readonly DiffID[],
    title: string,
  ): Promise<SourceTree> {
    await fetchRemote(layers, this.#options.signal);
    return await this.#options.parts.sources.openLayers(diffIds, title);
  }

  /** `platform`: as BaseImages has it. */
  async image(reference: string, platform: Platform | undefined): Promise<StepSource> {
    const image = await this.#options.image(reference, platform);
    return this.layers(
      image.diffIds.map((diffId) => ({ diffId, sizeBytes: 0 })),
      reference,
    );
  }

  /** A named context of any kind but `stage`, which is the graph's. */
  async named(name: string, platform: Platform | undefined): Promise<StepSource> {
    const spec = this.#options.named[name];
    if (spec === undefined) throw new InvalidParameterError(`no build context is named ${name}`);
    if (spec.kind === 'image') return await this.image(spec.reference, platform);
    return {
      title: name,
      identity: undefined,
      local: `named ${name}`,
      open: () => this.#once(`named ${name}`, () => this.#openNamed(name, spec)),
    };
  }

  async #openNamed(name: string, spec: ContextSpec): Promise<SourceTree> {
    const { parts, progress, session, signal, lock, cacheNamespace } = this.#options;
    const vertex = progress.vertex(`[context ${name}] load from ${spec.kind}`);
    return await progress.during(vertex, async () => {
      const locked =
        spec.kind === 'git' || spec.kind === 'http' ? lock.pin([spec.kind], spec.url)?.pin : undefined;
      const opened = await parts.sources.open(
        spec,
        { signal, session, vertex, cacheNamespace },
        { title: name, ...(locked === undefined ? {} : { pin: locked }) },
      );
      if (opened.material !== undefined) this.#materials.push(opened.material);
      return opened.tree;
    });
  }

  /** A tree that a step made for itself (a download), kept as long as the others. */
  own(key: string, open: () => Promise<SourceTree>): Promise<SourceTree> {
    return this.#once(key, open);
  }

  /** One file that a step downloads. */
  fetched(key: string, fetch: () => Promise<FetchedFile>): Promise<FetchedFile> {
    const known = this.#fetched.get(key);
    if (known !== undefined) return known;
    const file = fetch().then((one) => {
      this.remember(one.material);
      return one;
    });
    this.#fetched.set(key, file);
    this.own(key, async () => (await file).tree).catch(() => {});
    return file;
  }

  remember(material: BuildMaterial): void {
    this.#materials.push(material);
  }

  #once(key: string, open: () => Promise<SourceTree>): Promise<SourceTree> {
    const known = this.#trees.get(key);
    if (known !== undefined) return known;
    const tree = open();
    tree.catch(() => {});
    this.#trees.set(key, tree);
    return tree;
  }

  async release(): Promise<void> {
    const trees = [...this.#trees.values()];
    this.#trees.clear();
    const opened = await Promise.allSettled(trees);
    await releaseAll(
      opened.map((tree) => () => (tree.status === 'fulfilled' ? tree.value.release() : undefined)),
    );
  }
}

/** Brings layers that an imported cache only told of. */
export async function fetchRemote(layers: readonly BuiltLayer[], signal: AbortSignal): Promise<void> {
  await Promise.all(layers.map((layer) => layer.remote?.fetch(signal)));
}
