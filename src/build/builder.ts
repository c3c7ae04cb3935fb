/**
 * The builder that every way in uses: a SolveRequest becomes images (`solve`), and those go where they are wanted
 * (`export`). It owns the build cache, and knows which builds are in flight.
 */

import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { ConflictError } from '../base/errors.ts';
import { step } from '../base/steps.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { ImageID } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import type { BuildCaches } from './cache/build-caches.ts';
import type { CacheBudget } from './cache/cache-budget.ts';
import { CacheKeeper } from './cache/cache-keeper.ts';
import type { CacheStore } from './cache/cache-store.ts';
import type { StepCache } from './cache/step-cache.ts';
import { explainDiskFull } from './disk-full.ts';
import type { Progress, ProgressVertex } from './progress.ts';
import type { ShellRequest } from './run/failed-steps.ts';
import type { TerminalSize } from './run/step-runner.ts';
import type { BuildSession } from './session.ts';
import { credentialsFor } from './solve/base-images.ts';
import { BuildError } from './solve/build-error.ts';
import type { BuildParts } from './solve/build-parts.ts';
import { Executions } from './solve/executions.ts';
import type { ResolveIo, SourceAnswer, SourceQuestion } from './solve/resolve-source.ts';
import type { BuiltImage, SolvedBuild } from './solve/solved.ts';
import type { StepListener } from './solve/step-listener.ts';
import type { OutputSpec, SolveRequest } from './solve-request.ts';
import type { SourceTree } from './source/source-tree.ts';

/** More than there are processors: steps wait for networks and disks. */
const PARALLEL_STEPS = Math.max(4, 2 * availableParallelism());

export type { TerminalSize };

export interface BuildInFlight {
  id: string;
  startedMs: number;
  target: string;
}

/** What a build talks to while it runs. */
export interface BuildIo {
  /** Names the build: for `keepFailed`, and in lists of builds. */
  id: string;
  /** The request's body, for contexts of kind `tar`. */
  body?: Readable;
  session?: BuildSession;
  progress: Progress;
  /** Aborted: steps are killed, and everything rejects with the signal's reason. */
  signal: AbortSignal;
}

/** Where the results are now. */
export interface ExportOutcome {
  /** Of the image, or of the first one where there are several platforms; undefined where nothing was stored or written. */
  imageId?: ImageID;
  /** BuildKit's answers: `containerimage.digest`, `containerimage.config.digest`, `image.name`, … */
  metadata: Readonly<Record<string, string>>;
}

/** One entry of the build cache, as `GET /system/df` and `buildx du` show it. */
export interface BuildCacheEntry {
  id: string;
  /** `regular`, `source.local`, `source.git.checkout`, `exec.cachemount`, `internal`, `frontend`. */
  type: string;
  description: string;
  inUse: boolean;
  /** Its bytes belong to an image as well. */
  shared: boolean;
  sizeBytes: number;
  /** Milliseconds since 1970. */
  createdMs: number;
  lastUsedMs?: number;
  usageCount: number;
  parents: readonly string[];
}

export interface CachePruneRequest {
  /** Also what images share and what is internal. */
  all: boolean;
  /** As Docker's: id, until (a duration or time), type, inuse, shared, private, description, parent; each with its values. */
  filters: Readonly<Record<string, readonly string[]>>;
  /** Bytes of cache that stay in any case. */
  reservedSpaceBytes?: number;
  /** Bytes that the cache may have afterwards. */
  maxUsedSpaceBytes?: number;
  /** Bytes that the disk is to have free afterwards. */
  minFreeSpaceBytes?: number;
}

export interface CachePruned {
  entries: readonly BuildCacheEntry[];
  freedBytes: number;
}

export interface BuilderOptions {
  parts: BuildParts;
  cache: StepCache;
  /** The folders of `RUN --mount=type=cache`. */
  cacheMounts: { removeNamespace(namespace: string): Promise<void> };
  /** Caches elsewhere. */
  caches: BuildCaches;
  /** Beside the cache of steps: folders, clones, downloads, cache mounts. */
  stores: readonly CacheStore[];
  /** `<data root>/build`. */
  directory: string;
  budget: Partial<CacheBudget>;
  /** Outputs that are files. */
  exportFiles: FileExport;
  /** Hears of prunes. */
  events: Pick<EventBus, 'publish'>;
  /** Platforms that this machine runs by emulation, too; best first. */
  platforms: () => Platform[];
  /** What `host-gateway` stands for in a step's hosts file. */
  hostGateway: () => string;
  failedSteps: FailedStepShells;
}

/** Returns what the client is to be told, as `ExportOutcome.metadata` has it. */
export type FileExport = (
  solved: SolvedBuild,
  output: Extract<OutputSpec, { type: 'local' | 'tar' | 'oci' | 'docker' }>,
  io: BuildIo & { exporter: number },
  vertex: ProgressVertex,
) => Promise<Readonly<Record<string, string>>>;

/** Terminals in the state of steps that failed. */
export interface FailedStepShells {
  /** Throws NotFound where no such step is kept. */
  require(id: string): void;
  shell(id: string, request: ShellRequest): Promise<{ exitCode: number }>;
  releaseFailed(id: string): Promise<void>;
}

export class Builder {
  /** Whoever may use it without limits may read all of this machine's folders. */
  readonly contextFolders: boolean = true;
  /** For whoever may use this builder without limits. */
  readonly failedSteps: FailedStepShells;
  readonly #options: BuilderOptions;
  readonly #keeper: CacheKeeper;
  readonly #executions = new Executions();
  /** Builds in flight, by their IDs. */
  readonly #builds = new Map<string, BuildInFlight>();

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.failedSteps = options.failedSteps;
    const { directory, cache, stores, budget } = options;
    this.#keeper = new CacheKeeper({ directory, stores: [cache, ...stores], budget });
  }

  /**
   * Does what the request's target needs. Throws BuildError where an instruction fails, InvalidParameter for what the
   * request or the Dockerfile has wrong, or the signal's reason. What it returns must be released.
   */
  async solve(asked: SolveRequest, io: BuildIo, listener?: StepListener): Promise<SolvedBuild> {
    io.signal.throwIfAborted();
    const request = asked.fresh === true ? freshRequest(asked, io.id) : asked;
    if (this.#builds.has(io.id)) throw new ConflictError(`a build with the ID ${io.id} is under way`);
    const { parts, cache, caches } = this.#options;
    caches.check(request);
    const imports = request.check ? [] : caches.open(request, io);
    this.#builds.set(io.id, { id: io.id, startedMs: Date.now(), target: request.target });
    try {
      const options = { parts, cache, imports, executions: this.#executions, listener };
      // What only builds need is loaded with the first of them: most daemons are at rest most of the time.
      const { solve } = await import('./solve/solve.ts');
      const solved = await step('build/solve', io.id, () =>
        solve({ ...options, parallelSteps: PARALLEL_STEPS }, request, io),
      );
      return { ...solved, release: () => this.#over(solved) };
    } catch (error) {
      await Promise.all(imports.map((one) => one.release()));
      void this.#keeper.collect();
      throw this.#explained(error);
    } finally {
      this.#builds.delete(io.id);
      if (request.fresh === true)
        await this.#options.cacheMounts.removeNamespace(request.cacheNamespace ?? '');
    }
  }

  /** Steps that fail say it at their place; contexts, Dockerfiles and results have none. */
  #explained(error: unknown): unknown {
    const { directory } = this.#options.parts.sources.work;
    return error instanceof BuildError ? error : explainDiskFull(error, directory);
  }

  /** The budget is looked at when nobody waits for it. */
  async #over(solved: SolvedBuild): Promise<void> {
    try {
      await solved.release();
    } finally {
      void this.#keeper.collect();
    }
  }

  builds(): BuildInFlight[] {
    return [...this.#builds.values()];
  }

  /** Brings the results of `solve` to all of `outputs`, one after the other, and its steps to the caches of its request. `auth`: as SolveRequest has it. */
  async export(
    solved: SolvedBuild,
    outputs: readonly OutputSpec[],
    io: BuildIo,
    auth: SolveRequest['auth'] = {},
  ): Promise<ExportOutcome> {
    try {
      return await this.#export(solved, outputs, io, auth);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  async #export(
    solved: SolvedBuild,
    outputs: readonly OutputSpec[],
    io: BuildIo,
    auth: SolveRequest['auth'],
  ): Promise<ExportOutcome> {
    const { parts, exportFiles, caches } = this.#options;
    let outcome: ExportOutcome = { metadata: {} };
    for (const [exporter, output] of outputs.entries()) {
      io.signal.throwIfAborted();
      if (output.type === 'cacheonly') continue;
      if (output.type === 'image') {
        const credentials = (name: string) => credentialsFor(name, io.session, auth);
        const { exportImage } = await import('./export/image-export.ts');
        const exported = await exportImage({ parts, io, credentials }, solved, output);
        outcome = { ...outcome, ...exported, metadata: { ...outcome.metadata, ...exported.metadata } };
        continue;
      }
      const vertex = io.progress.vertex(
        `exporting to ${output.type === 'local' ? 'client directory' : output.type}`,
      );
      const told = await io.progress.during(vertex, () =>
        step('build/export-files', io.id, () => exportFiles(solved, output, { ...io, exporter }, vertex)),
      );
      outcome = { ...outcome, metadata: { ...outcome.metadata, ...told } };
    }
    const told = await step('build/export-cache', io.id, () => caches.export(solved, io, auth));
    return { ...outcome, metadata: { ...outcome.metadata, ...told } };
  }

  /** The files of a result, read-only. What it returns must be released before the result is. */
  async openFiles({ layers }: BuiltImage, signal: AbortSignal): Promise<SourceTree> {
    const { fetchRemote } = await import('./solve/step-sources.ts');
    await fetchRemote(layers, signal);
    const diffIds = layers.map(({ diffId }) => diffId);
    return await this.#options.parts.sources.openLayers(diffIds, 'result of the build');
  }

  /** What a source stands for, found as `solve` would find it. */
  async resolveSource(question: SourceQuestion, io: ResolveIo): Promise<SourceAnswer> {
    const { resolveSource } = await import('./solve/resolve-source.ts');
    return await resolveSource(this.#options.parts, question, io);
  }

  /** What this machine can run, best first. */
  platforms(): Platform[] {
    return this.#options.platforms();
  }

  /** The address by which steps on the default bridge reach this machine. */
  hostGateway(): string {
    return this.#options.hostGateway();
  }

  async cacheEntries(): Promise<BuildCacheEntry[]> {
    return await this.#keeper.entries();
  }

  async prune(request: CachePruneRequest, signal: AbortSignal): Promise<CachePruned> {
    const pruned = await this.#keeper.prune(request, signal);
    this.#options.events.publish('builder', 'prune', '', { reclaimed: String(pruned.freedBytes) });
    return pruned;
  }

  async close(): Promise<void> {
    await this.#keeper.close();
  }
}

/** As if nothing had ever been built: without results of steps, with cache mounts that nobody else has. */
function freshRequest(request: SolveRequest, id: string): SolveRequest {
  const { cacheNamespace = '' } = request;
  return { ...request, noCache: true, cacheFrom: [], cacheNamespace: `${cacheNamespace}\0fresh ${id}` };
}
