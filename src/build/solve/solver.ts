/**
 * One build from its request to its images: Dockerfile, graph, stages side by side, and the images' configurations.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { formatPlatform, type Platform, parsePlatform } from '../../image/platform.ts';
import { Semaphore } from '../../image/semaphore.ts';
import type { BuildIo } from '../builder.ts';
import type { CacheSource } from '../cache/cache-source.ts';
import type { StepCache } from '../cache/step-cache.ts';
import type { Dockerfile, Instruction } from '../dockerfile/ast.ts';
import { DockerfileError } from '../dockerfile/errors.ts';
import { lintSeen } from '../dockerfile/lint/dockerfile-lint.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildLock } from '../lock/build-lock.ts';
import type { BuildWarning, ProgressVertex } from '../progress.ts';
import type { SolveRequest, Subrequest } from '../solve-request.ts';
import type { SourceIo } from '../source/build-sources.ts';
import type { MainContext } from '../source/main-context.ts';
import { unusedArguments } from './arguments.ts';
import { BaseImages } from './base-images.ts';
import { answerAbout } from './build-answer.ts';
import { explicitEpochOf, FIRST_EPOCH } from './build-epochs.ts';
import { BuildLint } from './build-lint.ts';
import type { BuildParts } from './build-parts.ts';
import type { Executions } from './executions.ts';
import { finishedImage } from './finished-image.ts';
import { MainTree } from './main-tree.ts';
import { NamedContexts } from './named-contexts.ts';
import { buildPlatform } from './platform-args.ts';
import { socketOf } from './socket-of.ts';
import { placed, type SolveContext } from './solve-context.ts';
import type { BuiltImage, SolvedBuild } from './solved.ts';
import { StageGraph } from './stage-graph.ts';
import { declaredNames } from './stage-plan.ts';
import { runStage, type StageResult } from './stage-run.ts';
import { StepCacheUse } from './step-cache-use.ts';
import { type ListedStep, type StepListener, stepId } from './step-listener.ts';
import { fetchRemote, StepSources } from './step-sources.ts';

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
interface Tries {
  main: MainContext;
  /** Aborted once no try follows. */
  over: AbortController;
  again: boolean;
}

/**
 * Throws as Builder.solve. A build that needs a layer which an imported cache cannot bring is tried again without that
 * cache; results of steps that were done meanwhile are found in this machine's.
 */
export async function solve(
  options: SolverOptions,
  request: SolveRequest,
  io: BuildIo,
): Promise<SolvedBuild> {
  const main = options.parts.sources.main(request.context, request.dockerfile);
  const tries: Tries = { main, over: new AbortController(), again: false };
  const { imports } = options;
  try {
    for (;;) {
      const usable = imports.filter(({ broken }) => broken !== true);
      try {
        const solved = await new Solver({ ...options, imports: usable }, request, io, tries).run();
        const release = async (): Promise<void> => {
          await solved.release();
          await main.release();
          for (const source of imports) await source.release?.();
        };
        return { ...solved, release };
      } catch (error) {
        if (io.signal.aborted || !usable.some(({ broken }) => broken === true)) throw error;
        tries.again = true;
      }
    }
  } catch (error) {
    tries.over.abort(error);
    await main.release();
    throw error;
  }
}

class Solver {
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
  readonly #cache: StepCacheUse;
  /** Of the instructions in front of one that cannot be read. */
  #earlyWarnings: readonly BuildWarning[] = [];
  #file = { name: 'Dockerfile', content: '' };

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
    this.#lock = new BuildLock(request.lock);
    const lock = this.#lock;
    this.#images = new BaseImages({ parts, request, session, progress, signal, lock });
    this.#cache = new StepCacheUse({ cache, imports, keeps: request.fresh !== true, signal });
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
      const { dockerfile, vertex } = await this.#readDockerfile();
      const graphs = platforms.map((platform) => this.#graph(dockerfile, platform));
      this.#warnUnused(dockerfile, vertex);
      const lint = this.#lint(graphs, platforms, vertex);
      if (lint?.dockerfile.failsBuild) await this.#lintAhead(lint, graphs);
      if (!this.#tries.again) this.#announce(graphs, platforms, dockerfile);
      const context = this.#context(dockerfile, platforms, explicitEpoch);
      const results = await this.#runAll(context, graphs, platforms, lint);
      await this.#bringLayers(results);
      const epochSeconds =
        explicitEpoch ?? (await this.#mainTree.imageEpoch(results.map(({ origin }) => origin)));
      const images: BuiltImage[] = [];
      for (const result of results) images.push(await this.#finished(result, epochSeconds));
      return this.#solved(images, epochSeconds, this.#lockText(graphs));
    } catch (error) {
      this.#fail(error);
      await this.#release();
      this.#io.signal.throwIfAborted();
      throw error;
    }
  }

  /** Ends all that goes on; also the coming of the context, where no other try follows. */
  #fail(error: unknown): void {
    this.#failed.abort(error);
    if (!this.#options.imports.some(({ broken }) => broken === true)) this.#tries.over.abort(error);
  }

  /** As long as a step can still be done where its layer cannot be had. */
  async #bringLayers(results: readonly StageResult[]): Promise<void> {
    if (this.#request.outputs.every(({ type }) => type === 'cacheonly')) return;
    await Promise.all(
      results.map(({ baseLayers, layers }) => fetchRemote([...baseLayers, ...layers], this.#signal)),
    );
  }

  async #answer(
    question: Subrequest,
    platforms: readonly Platform[],
    explicitEpoch: number | undefined,
  ): Promise<SolvedBuild> {
    const [platform = buildPlatform()] = platforms;
    let shown: ProgressVertex | undefined;
    const answer = await answerAbout(question, {
      file: () => this.#file,
      read: async () => {
        const { dockerfile, vertex } = await this.#readDockerfile();
        shown = vertex;
        return dockerfile;
      },
      early: () => this.#earlyWarnings,
      graph: (dockerfile) => this.#graph(dockerfile, platform),
      lint: (graph) => this.#buildLint(graph, platform, shown),
      answersErrors: this.#request.subrequest !== undefined,
      hasTarget: this.#request.target !== '',
      image: (name) => {
        this.#request.requireImage?.(name);
        return Promise.resolve(this.#options.parts.images.tryResolve(name)?.config);
      },
    });
    return { ...this.#solved([], explicitEpoch ?? FIRST_EPOCH, undefined), answer };
  }

  #lint(
    [graph]: readonly StageGraph[],
    [platform]: readonly Platform[],
    vertex: ProgressVertex,
  ): BuildLint | undefined {
    if (graph === undefined || platform === undefined) return undefined;
    return this.#buildLint(graph, platform, vertex);
  }

  /** Findings are to fail the build, so they come before its steps. */
  async #lintAhead(lint: BuildLint, [graph]: readonly StageGraph[]): Promise<void> {
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

  #buildLint(graph: StageGraph, platform: Platform, shown: ProgressVertex | undefined): BuildLint {
    const vertex = shown ?? this.#io.progress.vertex('[internal] check the Dockerfile');
    const io = this.#sourceIo(vertex);
    return new BuildLint({
      request: this.#request,
      file: this.#file,
      graph,
      platform,
      // Whoever asks for an answer reads it there.
      warn: (warning) => {
        if (this.#request.subrequest === undefined && !this.#tries.again) vertex.warn(warning);
      },
      ignored: () => this.#main.ignoredPatterns(io),
    });
  }

  async #readDockerfile(): Promise<{ dockerfile: Dockerfile; vertex: ProgressVertex }> {
    const { progress } = this.#io;
    const vertex = progress.vertex(`[internal] load build definition from ${this.#main.dockerfileName}`);
    const io = this.#sourceIo(vertex);
    const text = await progress.during(vertex, () => this.#main.readDockerfile(io));
    this.#file = text;
    const seen: Instruction[] = [];
    try {
      const dockerfile = parseDockerfile(text.content, text.name, seen);
      if (dockerfile.syntax !== undefined) {
        vertex.log(`syntax ${dockerfile.syntax}: not fetched, Dockerfiles are read by the daemon itself\n`);
      }
      return { dockerfile, vertex };
    } catch (error) {
      if (!(error instanceof DockerfileError)) throw error;
      this.#earlyWarnings = lintSeen(seen, text);
      if (this.#request.subrequest === undefined) {
        for (const warning of this.#earlyWarnings) vertex.warn(warning);
      }
      const { start, end } = error.range;
      const lines = { line: start.line, endLine: end.line };
      throw placed({ file: text, signal: this.#signal }, lines, error);
    }
  }

  #graph(dockerfile: Dockerfile, targetPlatform: Platform): StageGraph {
    const { target, buildArgs, namedContexts } = this.#request;
    const contexts = new NamedContexts(namedContexts);
    return new StageGraph({
      dockerfile,
      target,
      buildPlatform: buildPlatform(),
      targetPlatform,
      given: buildArgs,
      namedContext: (name, platform) => contexts.find(name, platform),
    });
  }

  #warnUnused(dockerfile: Dockerfile, vertex: ProgressVertex): void {
    const all = [...dockerfile.globalArgs, ...dockerfile.stages.flatMap(({ instructions }) => instructions)];
    const unused = unusedArguments(this.#request.buildArgs, new Set(declaredNames(all)));
    if (unused.length > 0 && !this.#tries.again) {
      vertex.warn({
        rule: '',
        message: `[Warning] One or more build-args [${unused.join(' ')}] were not consumed`,
      });
    }
  }

  #announce(graphs: readonly StageGraph[], platforms: readonly Platform[], dockerfile: Dockerfile): void {
    const { listener } = this.#options;
    if (listener === undefined) return;
    const steps: ListedStep[] = dockerfile.globalArgs.map(({ source }, index) => ({
      id: stepId(-1, index, ''),
      text: source,
      global: true,
    }));
    for (const [index, graph] of graphs.entries()) {
      const platform = formatPlatform(platforms[index] ?? buildPlatform());
      for (const { stage, index: number } of graph.needed()) {
        steps.push({ id: stepId(number, -1, platform), text: stage.from.source, global: false });
        stage.instructions.forEach(({ source }, i) => {
          steps.push({ id: stepId(number, i, platform), text: source, global: false });
        });
      }
    }
    listener.planned(steps);
    for (const [index] of dockerfile.globalArgs.entries()) {
      listener.ended(stepId(-1, index, ''), { cached: false, result: '' });
    }
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
      file: this.#file,
      dockerfile,
      images: this.#images,
      sources: this.#sources,
      cache: this.#cache,
      executions,
      lock: this.#lock,
      slots: new Semaphore(parallelSteps),
      listener,
      explicitEpoch,
      pipelined: platforms.length === 1,
      multiPlatform: platforms.length > 1,
      runBuild: { id, session, extraHosts, limits, ulimits, cgroupParent, entitlements, keepFailed },
    };
  }

  /** All stages that a target needs begin at once; they wait for each other where they must. */
  async #runAll(
    context: SolveContext,
    graphs: readonly StageGraph[],
    platforms: readonly Platform[],
    lint: BuildLint | undefined,
  ): Promise<StageResult[]> {
    const running: Promise<unknown>[] = [];
    const targets = graphs.map((graph, number) => {
      const targetPlatform = platforms[number] ?? buildPlatform();
      const stages = new Map<number, Promise<StageResult>>();
      const result = (index: number): Promise<StageResult> => {
        const known = stages.get(index);
        if (known !== undefined) return known;
        const stage = graph.stages[index];
        if (stage === undefined) throw new InvalidParameterError(`the Dockerfile has no stage ${index}`);
        const input = { context, graph, stage, targetPlatform, result };
        const run = runStage({ ...input, lint: number === 0 ? lint : undefined });
        stages.set(index, run);
        running.push(run);
        run.catch((error: unknown) => this.#fail(error));
        return run;
      };
      for (const { index } of graph.needed()) void result(index);
      return result(graph.target.index);
    });
    // The first failure is the one to tell of; the others are its consequences, but nothing may go on.
    const first = Promise.withResolvers<never>();
    for (const run of running) run.catch(first.reject);
    try {
      return await Promise.race([Promise.all(targets), first.promise]);
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      await Promise.allSettled(running);
      // Of a context that did not come nothing is known.
      if (this.#mainTree.isOpen) await lint?.copies().catch(noWarnings);
    }
  }

  async #finished(result: StageResult, epochSeconds: number): Promise<BuiltImage> {
    const { parts } = this.#options;
    const { progress } = this.#io;
    const context = { parts, cache: this.#cache, progress, signal: this.#signal, request: this.#request };
    return await finishedImage(context, result, epochSeconds);
  }

  /** The main context is the client's choice, and no name of the Dockerfile. */
  #lockText(graphs: readonly StageGraph[]): string | undefined {
    const complete = graphs.every((graph) => graph.needed().length === graph.stages.length);
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
    await this.#sources.release();
    await this.#images.release();
    await this.#cache.release();
  }
}

/** What is wrong with an ignore file is said where the context is opened. */
function noWarnings(error: unknown): void {
  log.debug({ error }, 'what is copied was not compared with the ignore file');
}

function targetPlatforms(texts: readonly string[]): Platform[] {
  if (texts.length === 0) return [buildPlatform()];
  const platforms = texts.map((text) => parsePlatform(text));
  const keys = platforms.map(formatPlatform);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new InvalidParameterError(`platform ${twice} is given twice`);
  return platforms;
}
