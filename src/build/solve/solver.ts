/**
 * One build from its request to its images: Dockerfile, graph, stages side by side, and the images' configurations.
 */
import { log } from '../../base/log.ts';
import type { Platform } from '../../image/platform.ts';
import { Semaphore } from '../../image/semaphore.ts';
import type { BuildIo } from '../builder.ts';
import type { CacheSource } from '../cache/cache-source.ts';
import type { StepCache } from '../cache/step-cache.ts';
import type { Dockerfile } from '../dockerfile/ast.ts';
import { BuildLock } from '../lock/build-lock.ts';
import type { ProgressVertex } from '../progress.ts';
import { releaseAll } from '../release-all.ts';
import type { SolveRequest, Subrequest } from '../solve-request.ts';
import type { SourceIo } from '../source/build-sources.ts';
import { ClientLayouts } from '../source/client-layouts.ts';
import type { MainContext } from '../source/main-context.ts';
import { type PlatformGraph, runStages } from './all-stages.ts';
import { BaseImages } from './base-images.ts';
import { bringLayers } from './bring-layers.ts';
import { answerAbout } from './build-answer.ts';
import { explicitEpochOf, FIRST_EPOCH } from './build-epochs.ts';
import { BuildLint } from './build-lint.ts';
import type { BuildParts } from './build-parts.ts';
import { DockerfileReader } from './dockerfile-reader.ts';
import type { Executions } from './executions.ts';
import { type FinishContext, finishedImage } from './finished-image.ts';
import { MainTree } from './main-tree.ts';
import { buildPlatform, targetPlatforms } from './platform-args.ts';
import { requestedGraph, requestedGraphs } from './requested-graph.ts';
import { socketOf } from './socket-of.ts';
import type { SolveContext } from './solve-context.ts';
import type { BuiltImage, SolvedBuild } from './solved.ts';
import type { StageGraph } from './stage-graph.ts';
import type { StageResult } from './stage-run.ts';
import { StepCacheUse } from './step-cache-use.ts';
import { announceSteps, type StepListener } from './step-listener.ts';
import { StepSources } from './step-sources.ts';
import { warnUnused } from './unused-arguments.ts';

export interface SolverOptions {
  parts: BuildParts;
  cache: StepCache;
  imports: readonly CacheSource[];
  executions: Executions;
  listener: StepListener | undefined;
  /** Steps of one build at a time. */
  parallelSteps: number;
}

/** What tries of one build have in common: a client sends its context once, and a printer hears of its steps once. */
export interface Tries {
  main: MainContext;
  /** Aborted once no try follows. */
  over: AbortController;
  again: boolean;
}

export class Solver {
  readonly #options: SolverOptions;
  readonly #request: SolveRequest;
  readonly #io: BuildIo;
  /** Ends what is still running when one stage has failed. */
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #tries: Tries;
  readonly #main: MainContext;
  readonly #mainTree: MainTree;
  /** The main context comes as long as a try may need it. */
  readonly #mainSignal: AbortSignal;
  readonly #lock: BuildLock;
  readonly #images: BaseImages;
  readonly #sources: StepSources;
  readonly #layouts: ClientLayouts;
  readonly #cache: StepCacheUse;
  readonly #text: DockerfileReader;

  constructor(options: SolverOptions, request: SolveRequest, io: BuildIo, tries: Tries) {
    this.#options = options;
    this.#request = request;
    this.#io = io;
    this.#signal = AbortSignal.any([io.signal, this.#failed.signal]);
    const { parts, cache, imports } = options;
    const { session, progress } = io;
    const signal = this.#signal;
    this.#tries = tries;
    this.#main = tries.main;
    this.#mainSignal = AbortSignal.any([io.signal, tries.over.signal]);
    this.#mainTree = new MainTree({ main: this.#main, request, io, signal, comes: this.#mainSignal });
    this.#text = new DockerfileReader({
      main: this.#main,
      progress,
      sourceIo: (vertex) => this.#sourceIo(vertex),
      signal,
      warns: request.subrequest === undefined,
    });
    this.#lock = new BuildLock(request.lock);
    const lock = this.#lock;
    this.#images = new BaseImages({ parts, request, session, progress, signal, lock });
    this.#cache = new StepCacheUse({ cache, imports, keeps: request.fresh !== true, signal });
    this.#layouts = new ClientLayouts({ parts, session, progress, signal });
    this.#sources = new StepSources({
      parts,
      named: request.namedContexts,
      session,
      progress,
      signal,
      main: () => this.#mainTree.open(),
      image: (reference, platform) => this.#images.get(reference, platform),
      cacheNamespace: socketOf(request),
      lock,
    });
  }

  async run(): Promise<SolvedBuild> {
    try {
      const platforms = targetPlatforms(this.#request.platforms);
      const explicitEpoch = explicitEpochOf(this.#request);
      const question = this.#request.subrequest ?? (this.#request.check ? 'frontend.lint' : undefined);
      if (question !== undefined) return await this.#answer(question, platforms, explicitEpoch);
      const { dockerfile, vertex } = await this.#text.read();
      const graphs = requestedGraphs(this.#request, dockerfile, platforms);
      if (!this.#tries.again) warnUnused(dockerfile, this.#request.buildArgs, vertex);
      const [first] = graphs;
      const lint = first === undefined ? undefined : this.#lint(first, vertex);
      if (lint?.dockerfile.failsBuild) await this.#lintAhead(lint, first?.graph);
      this.#announce(graphs, dockerfile);
      const context = this.#context(dockerfile, platforms, explicitEpoch);
      const results = await this.#runAll(context, graphs, lint);
      await bringLayers(this.#request, results, this.#signal);
      const epochSeconds =
        explicitEpoch ?? (await this.#mainTree.imageEpoch(results.map(({ origin }) => origin)));
      const images: BuiltImage[] = [];
      const finishing = this.#finishContext();
      for (const result of results) images.push(await finishedImage(finishing, result, epochSeconds));
      return this.#solved(images, epochSeconds, this.#lockText(graphs));
    } catch (error) {
      this.#fail(error);
      await this.#release().catch((failure: unknown) =>
        log.warn(
          { err: failure, build: this.#io.id },
          'something that a failed build had remains until the next start',
        ),
      );
      this.#io.signal.throwIfAborted();
      throw error;
    }
  }

  /** Ends all that goes on; also the coming of the context, where no other try follows. */
  #fail(error: unknown): void {
    this.#failed.abort(error);
    if (!this.#options.imports.some(({ broken }) => broken === true)) this.#tries.over.abort(error);
  }

  async #answer(
    question: Subrequest,
    platforms: readonly Platform[],
    explicitEpoch: number | undefined,
  ): Promise<SolvedBuild> {
    const [platform = buildPlatform()] = platforms;
    let shown: ProgressVertex | undefined;
    const answer = await answerAbout(question, {
      file: () => this.#text.file,
      read: async () => {
        const { dockerfile, vertex } = await this.#text.read();
        shown = vertex;
        return dockerfile;
      },
      early: () => this.#text.earlyWarnings,
      graph: (dockerfile) => requestedGraph(this.#request, dockerfile, platform),
      lint: (graph) => this.#lint({ graph, platform }, shown),
      answersErrors: this.#request.subrequest !== undefined,
      hasTarget: this.#request.target !== '',
      image: (name) => {
        this.#request.requireImage?.(name);
        return Promise.resolve(this.#options.parts.images.tryResolve(name)?.config);
      },
    });
    return { ...this.#solved([], explicitEpoch ?? FIRST_EPOCH, undefined), answer };
  }

  /** Findings are to fail the build, so they come before its steps. */
  async #lintAhead(lint: BuildLint, graph: StageGraph | undefined): Promise<void> {
    const isExplicit = this.#request.platforms.length > 0;
    await lint.ahead(graph?.needed() ?? [], async (name, platform) => {
      const image = await this.#images.get(name, isExplicit ? platform : undefined);
      return image.config;
    });
    lint.dockerfile.check();
  }

  #sourceIo(vertex: ProgressVertex): SourceIo {
    const { session, body } = this.#io;
    const cacheNamespace = socketOf(this.#request);
    const io = { signal: this.#mainSignal, session, vertex, cacheNamespace };
    return body === undefined ? io : { ...io, body };
  }

  #lint({ graph, platform }: PlatformGraph, shown: ProgressVertex | undefined): BuildLint {
    const vertex = shown ?? this.#io.progress.vertex('[internal] check the Dockerfile');
    const io = this.#sourceIo(vertex);
    return new BuildLint({
      request: this.#request,
      file: this.#text.file,
      graph,
      platform,
      // Whoever asks for an answer reads it there.
      warn: (warning) => {
        if (this.#request.subrequest === undefined && !this.#tries.again) vertex.warn(warning);
      },
      ignored: () => this.#main.ignoredPatterns(io),
    });
  }

  #announce(graphs: readonly PlatformGraph[], dockerfile: Dockerfile): void {
    const { listener } = this.#options;
    if (listener === undefined || this.#tries.again) return;
    announceSteps(listener, dockerfile, graphs);
  }

  #context(
    dockerfile: Dockerfile,
    platforms: readonly Platform[],
    explicitEpoch: number | undefined,
  ): SolveContext {
    const { parts, executions, listener, parallelSteps } = this.#options;
    const { extraHosts, limits, ulimits, cgroupParent, entitlements, keepFailed } = this.#request;
    const { id, session, progress } = this.#io;
    return {
      id,
      request: this.#request,
      parts,
      session,
      progress,
      signal: this.#signal,
      file: this.#text.file,
      dockerfile,
      images: this.#images,
      sources: this.#sources,
      layouts: this.#layouts,
      cache: this.#cache,
      executions,
      lock: this.#lock,
      slots: new Semaphore(parallelSteps),
      listener,
      explicitEpoch,
      pipelined: platforms.length === 1,
      multiPlatform: platforms.length > 1,
      runBuild: {
        id,
        session,
        extraHosts,
        limits,
        ulimits,
        cgroupParent,
        entitlements,
        keepFailed,
        newLayers: this.#cache.newLayers,
      },
    };
  }

  async #runAll(
    context: SolveContext,
    graphs: readonly PlatformGraph[],
    lint: BuildLint | undefined,
  ): Promise<StageResult[]> {
    try {
      return await runStages({ context, graphs, lint, fail: (error) => this.#fail(error) });
    } finally {
      // Of a context that did not come nothing is known.
      if (this.#mainTree.isOpen) await lint?.copies().catch(noWarnings);
    }
  }

  #finishContext(): FinishContext {
    const { parts } = this.#options;
    const { progress } = this.#io;
    return { parts, cache: this.#cache, progress, signal: this.#signal, request: this.#request };
  }

  /** The main context is the client's choice, and no name of the Dockerfile. */
  #lockText(graphs: readonly PlatformGraph[]): string | undefined {
    const complete = graphs.every(({ graph }) => graph.needed().length === graph.stages.length);
    return this.#lock.text([...this.#images.materials, ...this.#sources.materials], complete);
  }

  #solved(images: readonly BuiltImage[], epochSeconds: number, lock: string | undefined): SolvedBuild {
    return {
      images,
      epochSeconds,
      materials: [...this.#images.materials, ...this.#mainTree.materials, ...this.#sources.materials],
      ...(lock === undefined ? {} : { lock }),
      trail: this.#cache.trail,
      cacheMounts: this.#cache.mounts,
      cacheTo: this.#request.cacheTo,
      release: () => this.#release(),
    };
  }

  async #release(): Promise<void> {
    await this.#mainTree.settled();
    const parts = [this.#sources, this.#images, this.#layouts, this.#cache];
    await releaseAll(parts.map((part) => () => part.release()));
  }
}

/** What is wrong with an ignore file is said where the context is opened. */
function noWarnings(error: unknown): void {
  log.debug({ error }, 'what is copied was not compared with the ignore file');
}
