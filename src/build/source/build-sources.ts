/**
 * Where the files of a build come from, behind one door: every kind of context becomes a SourceTree. Owns what is kept
 * of them between builds below `<data root>/build` (folders of sessions, clones, downloads) and the trees of builds
 * under way there, which are gone once they are released, or at the next daemon's `sweep`.
 */
import type { DiffID } from '../../image/digest.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import { type RegistryOptions, resolveRegistryOptions } from '../../image/registry/options.ts';
import { Transport } from '../../image/registry/transport.ts';
import type { ImageStore } from '../../image/store/image-store.ts';
import type { CacheStore } from '../cache/cache-store.ts';
import type { ProgressVertex } from '../progress.ts';
import type { BuildSession } from '../session.ts';
import type { BuildMaterial } from '../solve/solved.ts';
import type { ContextSpec, DockerfileSpec } from '../solve-request.ts';
import { ClientFolders } from './client-folders.ts';
import { Downloads, type FetchedFile, type FetchFileOptions } from './downloads.ts';
import { folderTree } from './folder-tree.ts';
import type { GitOptions } from './git-checkout.ts';
import { GitRepositories } from './git-repositories.ts';
import { LayerTrees } from './layer-trees.ts';
import { MainContext } from './main-context.ts';
import { openContext } from './open-context.ts';
import type { SourceTree } from './source-tree.ts';
import { WorkFolders } from './work-folders.ts';

export interface BuildSourcesOptions {
  /** `<data root>/build`. */
  directory: string;
  snapshotter: Snapshotter;
  images: Pick<ImageStore, 'holdNew'>;
  /** Proxies, certificates and patience of downloads. */
  registry: RegistryOptions;
  /** Programs of the host; defaults are found in PATH. */
  programs?: { git?: string; ssh?: string };
}

/** What a source may use of its build. */
export interface SourceIo {
  signal: AbortSignal;
  /** The request's body, for contexts of kind `tar`. */
  body?: AsyncIterable<Uint8Array>;
  session?: BuildSession | undefined;
  /** Gets lines of output, and amounts of what is transferred. */
  vertex?: ProgressVertex | undefined;
  /** Only builds that have this in common find what was kept for one of them: folders, repositories, downloads. */
  cacheNamespace?: string | undefined;
}

export interface OpenedSource {
  tree: SourceTree;
  /** What the source depends on outside, pinned. */
  material?: BuildMaterial;
  /** Seconds since 1970 of the source's commit, or of a download's Last-Modified. */
  epochSeconds?: number;
  /** What came was no archive but the text of a Dockerfile. The tree has it as `Dockerfile`. */
  dockerfile?: string;
}

export interface OpenOptions {
  /** For error texts. Default what the specification says. */
  title?: string;
  /** A commit or digest that must be what is used (of the lock file). */
  pin?: string;
  /** Text of an ignore file, instead of the `.dockerignore` in a folder of a client. */
  ignore?: string;
  /** Of a session's folder only these paths, and what links in them lead to, are needed. */
  followPaths?: readonly string[];
  /** Keeps `.git` of git contexts (BUILDKIT_CONTEXT_KEEP_GIT_DIR). */
  keepGitDir?: boolean;
}

export class BuildSources {
  readonly work: WorkFolders;
  readonly layers: LayerTrees;
  readonly folders: ClientFolders;
  readonly downloads: Downloads;
  readonly git: GitRepositories;

  constructor(options: BuildSourcesOptions) {
    const { directory, snapshotter, images } = options;
    const registry = resolveRegistryOptions(options.registry);
    this.work = new WorkFolders(directory);
    this.layers = new LayerTrees({ snapshotter, images, work: this.work });
    this.folders = new ClientFolders(directory, this.work);
    this.downloads = new Downloads({
      directory,
      work: this.work,
      transport: new Transport(registry),
      registry,
    });
    this.git = new GitRepositories({
      directory,
      work: this.work,
      env: registry.env,
      programs: options.programs ?? {},
    });
  }

  /** The main context, with the Dockerfile in or beside it: each is fetched when it is asked for. */
  main(context: ContextSpec, dockerfile: DockerfileSpec): MainContext {
    return new MainContext(this, context, dockerfile);
  }

  /**
   * Opens a context of any kind but `stage` and `image`, which are the solver's (`openLayers` shows what it finds). What it
   * returns must be released.
   */
  async open(spec: ContextSpec, io: SourceIo, options: OpenOptions = {}): Promise<OpenedSource> {
    return await openContext(this, spec, io, options);
  }

  /** The files of an image's layers, or of a stage so far, base first. */
  async openLayers(layers: readonly DiffID[], title: string): Promise<SourceTree> {
    return await this.layers.open(layers, title);
  }

  /** ADD of an address: one file. */
  async fetchFile(url: string, options: FetchFileOptions, io: SourceIo): Promise<FetchedFile> {
    return await this.downloads.fetch(url, options, io);
  }

  /** ADD of a repository. */
  async fetchGit(url: string, options: GitOptions, io: SourceIo): Promise<OpenedSource> {
    return await this.git.open(url, options, io);
  }

  /**
   * A folder of this machine, read in place, without what its `.dockerignore` leaves out, or `<dockerfile>.dockerignore`,
   * or the given text of one.
   */
  openFolder(path: string, title: string, ignore?: string, dockerfile?: string): SourceTree {
    return folderTree(path, title, ignore, dockerfile);
  }

  /** What lasts between builds: for lists, the budget and prune. */
  get stores(): readonly CacheStore[] {
    return [this.folders, this.git, this.downloads];
  }

  /** Removes what builds of an earlier daemon left. Before anything else. */
  async sweep(): Promise<void> {
    await this.work.sweep();
    await Promise.all([this.folders.sweep(), this.downloads.sweep(), this.git.sweep()]);
  }
}
