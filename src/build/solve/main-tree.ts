/** The main context of one build as its steps take from it: opened once, with what it tells of the time of the images. */
import { step } from '../../base/steps.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import type { BuildIo } from '../builder.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { MainContext } from '../source/main-context.ts';
import { newestFileSec } from '../source/newest-file.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { WalkedFolders } from '../source/walked-folders.ts';
import { epochOf, explicitEpochOf, FIRST_EPOCH } from './build-epochs.ts';
import { socketOf } from './socket-of.ts';
import type { BuildMaterial } from './solved.ts';

export interface MainTreeOptions {
  main: MainContext;
  request: SolveRequest;
  io: BuildIo;
  signal: AbortSignal;
  /** Ends the coming of the context: it may outlast what takes from it. */
  comes: AbortSignal;
}

export class MainTree {
  readonly #options: MainTreeOptions;
  readonly #materials: BuildMaterial[] = [];
  #isOpen = false;
  /** Seconds since 1970: of its commit or download. */
  #epochSeconds: number | undefined;
  #newestFile: Promise<number | undefined> | undefined;

  constructor(options: MainTreeOptions) {
    this.#options = options;
  }

  get materials(): readonly BuildMaterial[] {
    return this.#materials;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  async open(): Promise<SourceTree> {
    const { main, request, io, signal, comes } = this.#options;
    const { progress, session, body } = io;
    const vertex = progress.vertex('[internal] load build context');
    const sourceIo = {
      signal: comes,
      session,
      vertex,
      cacheNamespace: socketOf(request),
      ...(body === undefined ? {} : { body }),
    };
    return await progress.during(vertex, async () => {
      const opened = await step('build/open-context', io.id, () => main.open(sourceIo));
      this.#isOpen = true;
      if (opened.material !== undefined) this.#materials.push(opened.material);
      this.#epochSeconds = opened.epochSeconds;
      // It is the main context's own to release.
      const tree = { ...opened.tree, walked: new WalkedFolders(), release: () => Promise.resolve() };
      if (opened.epochSeconds === undefined && this.#needsNewestFile()) {
        this.#newestFile = newestFileSec(tree, signal);
        this.#newestFile.catch(() => {});
      }
      return tree;
    });
  }

  #needsNewestFile(): boolean {
    const { request } = this.#options;
    return request.contextEpoch === undefined && explicitEpochOf(request) === undefined;
  }

  /**
   * What images say of their time: what the client knows of its context, else what its files say; never before what
   * their bases (undefined: scratch) say.
   */
  async imageEpoch(bases: readonly (ImageConfig | undefined)[]): Promise<number> {
    const { contextEpoch } = this.#options.request;
    const own = contextEpoch ?? this.#epochSeconds ?? (await this.#newestFile);
    const epochs = bases.map((config) => (config === undefined ? FIRST_EPOCH : epochOf(config)));
    return Math.max(...epochs, own ?? FIRST_EPOCH);
  }

  /** Nothing reads it any more when this resolves. */
  async settled(): Promise<void> {
    await this.#newestFile?.catch(() => {});
  }
}
