/**
 * One build that a client has ordered by Control.Solve, under the reference that it chose: its progress, its results
 * by the names that LLBBridge gives them, and how the client wants it to end. A client that steers the build itself
 * (docker buildx) orders results by LLBBridge.Solve, and hands back by Return which of them are to be exported.
 */
import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { BuildStatus } from '../../api/build-status.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import { Progress } from '../../build/progress.ts';
import type { SourceAnswer, SourceQuestion } from '../../build/solve/resolve-source.ts';
import type { BuildMaterial, BuiltImage, SolvedBuild } from '../../build/solve/solved.ts';
import type { CacheSpec, OutputSpec, SolveRequest } from '../../build/solve-request.ts';
import type { SourceTree } from '../../build/source/source-tree.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import type { BuildResults, HeldResult } from './build-results.ts';
import { exporterResponse } from './exporters.ts';
import { buildFailure } from './failures.ts';
import { type Attributes, solveRequestOf, unmadeAttestations } from './frontend-attributes.ts';
import type { ClientSession } from './session/client-session.ts';
import { StatusLog } from './status-log.ts';

/** Results of one build: targets of a bake file share none. */
const RESULTS_MAX = 100;

export interface JobOrder {
  entitlements: readonly string[];
  cacheFrom: readonly CacheSpec[];
  cacheTo: readonly CacheSpec[];
  outputs: readonly OutputSpec[];
  /** Hears of all that the client may read of its progress. */
  onStatus?: (status: BuildStatus) => void;
}

/** What one order has beside its attributes. */
export interface SolveInputs {
  cacheFrom: readonly CacheSpec[];
  /** Names of results by the names of the order's inputs. */
  results: Readonly<Record<string, string>>;
}

export class BuildJob {
  readonly ref: string;
  readonly status = new StatusLog();
  readonly #backend: BuildBackend;
  readonly #order: JobOrder;
  readonly #controller = new AbortController();
  readonly #session: ClientSession | undefined;
  readonly #progress: Progress;
  readonly #shared: BuildResults;
  /** Its own. */
  readonly #results = new Map<string, HeldResult>();
  /** Of other builds, that this one takes from. */
  readonly #inputs = new Map<string, HeldResult>();
  readonly #running = new Set<Promise<string>>();
  /** Results that the client looks into, by their names. */
  readonly #files = new Map<string, Promise<SourceTree>>();
  #solves = 0;
  #materials: readonly BuildMaterial[] = [];
  readonly #returned: Promise<string | undefined>;
  readonly #settle: { resolve: (ref: string | undefined) => void; reject: (error: unknown) => void };

  constructor(
    ref: string,
    { backend, results }: { backend: BuildBackend; results: BuildResults },
    order: JobOrder,
    session: ClientSession | undefined,
  ) {
    this.ref = ref;
    this.#backend = backend;
    this.#shared = results;
    this.#order = order;
    this.#session = session;
    const tell = (status: BuildStatus): void => {
      this.status.add(status);
      order.onStatus?.(status);
    };
    this.#progress = new Progress(tell, `${ref}\0${randomBytes(8).toString('hex')}`);
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    this.#returned = promise;
    this.#settle = { resolve, reject };
    // Whoever waits is told; a build without a client that returns something has nobody waiting.
    promise.catch(() => undefined);
    const gone = (): void => this.cancel(new GrpcError('Canceled', 'the session of the client has ended'));
    session?.closed.addEventListener('abort', gone, { once: true });
    this.#controller.signal.addEventListener('abort', () =>
      session?.closed.removeEventListener('abort', gone),
    );
    if (session?.closed.aborted === true) gone();
  }

  /** What the result that was exported was made from. */
  get materials(): readonly BuildMaterial[] {
    return this.#materials;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  cancel(reason: unknown): void {
    this.#controller.abort(reason);
    this.#settle.reject(reason);
  }

  /** Does what the attributes say. Returns the result's name, for `export`. */
  async solve(attributes: Attributes, given: SolveInputs, signal: AbortSignal): Promise<string> {
    if (this.signal.aborted) throw canceled(this.signal);
    const unmade = unmadeAttestations(attributes);
    if (unmade.length > 0) {
      throw new GrpcError('Unimplemented', `not implemented: attestations (${unmade.join(', ')})`);
    }
    const request = solveRequestOf({
      ...this.#order,
      attributes,
      cacheFrom: [...this.#order.cacheFrom, ...given.cacheFrom],
      inputs: Object.fromEntries(
        Object.entries(given.results).map(([name, ref]) => [name, this.#input(name, ref)]),
      ),
    });
    return await this.run(request, signal);
  }

  /** What a source stands for, as a step of the build would find it. */
  async resolve(question: SourceQuestion, caller: AbortSignal): Promise<SourceAnswer> {
    if (this.signal.aborted) throw canceled(this.signal);
    const signal = AbortSignal.any([this.signal, caller]);
    try {
      return await this.#backend.resolveSource(question, {
        session: this.#session,
        progress: this.#progress,
        signal,
      });
    } catch (error) {
      throw signal.aborted ? canceled(signal) : buildFailure(error);
    }
  }

  /** Does what the request says, with `body` for a context that is one. Returns the result's name. */
  async run(request: SolveRequest, caller: AbortSignal, body?: Readable): Promise<string> {
    if (this.#results.size + this.#running.size >= RESULTS_MAX) {
      throw new GrpcError('ResourceExhausted', `build ${this.ref} has ${RESULTS_MAX} results already`);
    }
    const running = this.#run(request, caller, body);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #run(request: SolveRequest, caller: AbortSignal, body: Readable | undefined): Promise<string> {
    const signal = AbortSignal.any([this.signal, caller]);
    const io = this.#io(signal);
    let solved: SolvedBuild;
    try {
      solved = await this.#backend.solve(request, body === undefined ? io : { ...io, body });
    } catch (error) {
      throw signal.aborted ? canceled(signal) : buildFailure(error);
    }
    if (signal.aborted) {
      // Nobody would release it any more.
      await solved.release();
      throw canceled(signal);
    }
    const { ref, held } = this.#shared.add(solved);
    this.#results.set(ref, held);
    return ref;
  }

  #input(name: string, ref: string): readonly BuiltImage[] {
    const held = this.#inputs.get(ref) ?? this.#shared.hold(ref);
    if (held === undefined) {
      throw new GrpcError('NotFound', `input "${name}" is the result of a build that is over`);
    }
    this.#inputs.set(ref, held);
    return held.solved.images;
  }

  /** Throws NotFound. */
  result(ref: string): SolvedBuild {
    const held = this.#results.get(ref);
    if (held === undefined) throw new GrpcError('NotFound', `no result ${ref} of build ${this.ref}`);
    return held.solved;
  }

  /** To a request that asks about the Dockerfile instead of building it. */
  answer(ref: string): SolvedBuild['answer'] {
    return this.#results.get(ref)?.solved.answer;
  }

  /** Where the files of a result are. Throws NotFound; of several platforms it is the first. */
  async files(ref: string): Promise<string> {
    if (this.signal.aborted) throw canceled(this.signal);
    const [image] = this.result(ref).images;
    if (image === undefined)
      throw new GrpcError('NotFound', `result ${ref} of build ${this.ref} has no files`);
    const known = this.#files.get(ref);
    const tree = known ?? this.#backend.openFiles(image, this.signal);
    if (known === undefined) this.#files.set(ref, tree);
    const { path } = await tree;
    // It goes with the build, which may have ended meanwhile.
    if (this.signal.aborted) throw canceled(this.signal);
    return path;
  }

  /** What the client wants exported (nothing: only the cache), or what it says went wrong. */
  finish(ref: string | undefined): void {
    this.#settle.resolve(ref);
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }

  /** Waits for `finish`, then exports. Rejects with what `fail` or `cancel` said. */
  async returned(): Promise<Record<string, string>> {
    const ref = await this.#returned;
    return ref === undefined ? {} : await this.export(ref);
  }

  async export(ref: string): Promise<Record<string, string>> {
    const solved = this.result(ref);
    this.#materials = solved.materials;
    const { signal } = this;
    try {
      return exporterResponse(await this.#backend.export(solved, this.#order.outputs, this.#io(signal)));
    } catch (error) {
      throw signal.aborted ? canceled(signal) : buildFailure(error);
    }
  }

  /** Nothing of the build goes on; what nobody else holds of its results goes. */
  async close(): Promise<void> {
    this.cancel(new GrpcError('Canceled', `build ${this.ref} has ended`));
    this.status.end();
    // They have ended with the build's signal, but still use what they hold until they say so.
    await Promise.allSettled(this.#running);
    const trees = [...this.#files.values()];
    this.#files.clear();
    for (const tree of await Promise.allSettled(trees)) {
      if (tree.status === 'fulfilled') await tree.value.release();
    }
    const held = [...this.#results.values(), ...this.#inputs.values()];
    this.#results.clear();
    this.#inputs.clear();
    for (const result of held) await result.release();
  }

  #io(signal: AbortSignal): Parameters<BuildBackend['solve']>[1] {
    const session = this.#session === undefined ? {} : { session: this.#session };
    this.#solves += 1;
    // One at a time has a name: a client may have several results made at once.
    const id = this.#solves === 1 ? this.ref : `${this.ref}-${this.#solves}`;
    return { id, progress: this.#progress, signal, ...session };
  }
}

function canceled(signal: AbortSignal): GrpcError {
  return signal.reason instanceof GrpcError ? signal.reason : new GrpcError('Canceled', 'context canceled');
}
