/** The builds of one socket's clients by their references; calls about one that has not begun yet wait a little for it. */

import { GrpcError } from '../../api/grpc/status.ts';
import { ConflictError, UnavailableError } from '../../base/errors.ts';
import { Arrivals } from './arrivals.ts';
import type { BuildJob } from './build-job.ts';

const JOBS_MAX = 200;
const WAIT_MAX_MS = 5_000;
/** How long progress of a build that has ended can still be asked for. */
const KEPT_MS = 5_000;

export class BuildJobs {
  readonly #jobs = new Map<string, BuildJob>();
  readonly #refused = new Map<string, unknown>();
  readonly #arrivals = new Arrivals();

  /** Runs `body` with the job there for the other calls; closes it afterwards. */
  async during<T>(job: BuildJob, body: () => Promise<T>): Promise<T> {
    if (this.#jobs.has(job.ref)) throw new ConflictError(`build ${job.ref} exists already`);
    if (this.#jobs.size >= JOBS_MAX) throw new UnavailableError(`there are ${JOBS_MAX} builds already`);
    this.#jobs.set(job.ref, job);
    this.#arrivals.announce();
    try {
      return await body();
    } finally {
      await job.close().finally(() => this.#forget(job));
    }
  }

  find(ref: string): BuildJob | undefined {
    return this.#jobs.get(ref);
  }

  /** Other calls about a build that did not begin are told why, instead of waiting for it. */
  refuse(ref: string, error: unknown): void {
    if (this.#jobs.has(ref) || this.#refused.size >= JOBS_MAX) return;
    this.#refused.set(ref, error);
    setTimeout(() => this.#refused.delete(ref), KEPT_MS).unref();
    this.#arrivals.announce();
  }

  #look(ref: string): BuildJob | undefined {
    const job = this.#jobs.get(ref);
    if (job === undefined && this.#refused.has(ref)) throw this.#refused.get(ref);
    return job;
  }

  /** Throws NotFound where no such build begins within a few seconds. */
  async get(ref: string, signal: AbortSignal): Promise<BuildJob> {
    const job = await this.#arrivals.find(() => this.#look(ref), WAIT_MAX_MS, signal);
    if (job === undefined) throw new GrpcError('NotFound', `no such job ${ref}`);
    return job;
  }

  #forget(job: BuildJob): void {
    const forget = (): void => {
      if (this.#jobs.get(job.ref) === job) this.#jobs.delete(job.ref);
    };
    if (job.status.taken) forget();
    else setTimeout(forget, KEPT_MS).unref();
  }
}
