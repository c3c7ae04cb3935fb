/**
 * Steps that failed and are kept as they were, root, mounts and environment, so that somebody can look around in them:
 * a few, each for a bounded time in which nobody does.
 */
import { ConflictError, NotFoundError } from '../../base/errors.ts';
import type { RunStep, StepRunner, StepTerminal } from './step-runner.ts';

const KEEP_MS = 15 * 60 * 1000;
const KEPT_MAX = 8;

export interface FailedStep {
  /** Of RunFailedError.keptStep. */
  id: string;
  /** RunBuild.id. */
  buildId: string;
  args: readonly string[];
  failedMs: number;
}

export interface ShellRequest {
  /** Empty: `/bin/sh`. */
  args: readonly string[];
  terminal: StepTerminal;
  onOutput(chunk: Buffer, stream: 'stdout' | 'stderr'): void;
  signal: AbortSignal;
}

interface Kept extends FailedStep {
  step: RunStep;
  shells: number;
  timer: NodeJS.Timeout | undefined;
  letGo(): void;
  gone: Promise<void>;
}

export class FailedSteps {
  readonly #runner: StepRunner;
  readonly #keepMs: number;
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(runner: StepRunner, keepMs = KEEP_MS) {
    this.#runner = runner;
    this.#keepMs = keepMs;
  }

  list(): FailedStep[] {
    return [...this.#kept.values()].map(({ id, buildId, args, failedMs }) => ({
      id,
      buildId,
      args,
      failedMs,
    }));
  }

  /** Throws NotFound where no such step is kept. */
  require(id: string): void {
    if (!this.#kept.has(id)) throw new NotFoundError(`no failed build step ${id} is kept`);
  }

  /** Resolves when nobody needs its state any more. `gone`: it has been taken away. */
  keep(step: RunStep, buildId: string, gone: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { id, args } = step;
    const facts = { id, buildId, args, failedMs: Date.now() };
    const kept: Kept = { ...facts, step, shells: 0, timer: undefined, letGo: resolve, gone };
    this.#kept.set(id, kept);
    this.#restart(kept);
    const idle = [...this.#kept.values()].filter(({ shells }) => shells === 0);
    for (const one of idle.slice(0, Math.max(0, this.#kept.size - KEPT_MAX))) this.#drop(one);
    return promise;
  }

  #restart(kept: Kept): void {
    clearTimeout(kept.timer);
    kept.timer = setTimeout(() => this.#drop(kept), this.#keepMs).unref();
  }

  #drop(kept: Kept): void {
    clearTimeout(kept.timer);
    this.#kept.delete(kept.id);
    kept.letGo();
  }

  /**
   * Runs a program in the state of a failed step: on its root, which keeps what the program writes for the next one, with
   * its mounts, environment, folder, user and network. Throws NotFound; Conflict where somebody is in it already.
   */
  async shell(id: string, request: ShellRequest): Promise<{ exitCode: number }> {
    const kept = this.#kept.get(id);
    if (kept === undefined) throw new NotFoundError(`no failed build step ${id} is kept`);
    if (kept.shells > 0) throw new ConflictError(`somebody is in the failed build step ${id} already`);
    kept.shells++;
    clearTimeout(kept.timer);
    const args = request.args.length === 0 ? ['/bin/sh'] : [...request.args];
    const { terminal, onOutput, signal } = request;
    try {
      const { exitCode } = await this.#runner.run({ ...kept.step, args, terminal, onOutput, signal });
      return { exitCode };
    } finally {
      kept.shells--;
      if (this.#kept.has(id)) this.#restart(kept);
      else kept.letGo();
    }
  }

  /** Takes the state away, now or when the shell in it ends. One that is not kept is no error. */
  async release(id: string): Promise<void> {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    clearTimeout(kept.timer);
    this.#kept.delete(id);
    if (kept.shells > 0) return;
    kept.letGo();
    await kept.gone;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept.keys()].map((id) => this.release(id)));
  }
}
