/**
 * RUN: a step's root and mounts are made ready, its program runs to its end in a container of its own, and what it
 * changed is there to be built upon at once, while it is stored in the background. What fails leaves nothing, or, where a
 * build wants that, its whole state for a while (failed-steps.ts).
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, errorMessage, ForbiddenError, InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { step } from '../../base/steps.ts';
import type { MountOwners } from '../../image/layers/mapped-mounts.ts';
import { readMountTable } from '../../image/layers/mount-table.ts';
import { removeTreeSync } from '../../image/layers/native-archive.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { Platform } from '../../image/platform.ts';
import { runnablePlatforms, whyNotExecuted } from '../../image/runnable-platforms.ts';
import { addon } from '../../native/addon.ts';
import { removeTree } from '../../volume/remove-tree.ts';
import { CacheMounts } from './cache-mounts.ts';
import { type FailedStep, FailedSteps, type ShellRequest } from './failed-steps.ts';
import { explainStepError, RunFailedError } from './run-failed.ts';
import type { PendingLayer, RunBuild, RunRequest } from './run-step.ts';
import { StepMounts } from './step-mounts.ts';
import { StepOutput } from './step-output.ts';
import { StepRoot } from './step-root.ts';
import type { RunStep, StepEnd, StepRunner } from './step-runner.ts';
import { UpperLayer } from './upper-layer.ts';

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface RunServiceOptions {
  snapshotter: Pick<Snapshotter, 'mount' | 'unmount' | 'commit'>;
  stepRunner: StepRunner;
  /** `<data root>/build`. */
  directory: string;
  /** `<exec root>/build`: what must not be on a disk. At most 47 bytes, for the sockets in it. */
  execDirectory: string;
  /** How long a failed step is kept without a shell in it. */
  keepFailedMs?: number;
}

interface StepState {
  root: StepRoot;
  mounts: StepMounts;
  step: RunStep;
  output: StepOutput;
}

export class RunService {
  /** What `type=cache` mounts share and keep. */
  readonly caches: CacheMounts;
  readonly #options: RunServiceOptions;
  readonly #runs: string;
  readonly #failed: FailedSteps;
  readonly #scopes = new Set<Promise<void>>();

  /** The folders are made. */
  constructor(options: RunServiceOptions) {
    this.#options = options;
    this.#runs = join(options.directory, 'runs');
    for (const path of [this.#runs, options.execDirectory]) makeDirectory(path, 0o700);
    this.caches = new CacheMounts(join(options.directory, 'cache-mounts'));
    this.#failed = new FailedSteps(options.stepRunner, options.keepFailedMs);
  }

  /**
   * Runs a step. Resolves when its program has ended with 0 and others can lie on what it did. Throws RunFailedError;
   * Forbidden for what the build is not entitled to; InvalidParameter for what a mount names and nobody has; the signal's
   * reason, once nothing of the step runs any more. What it returns must be released.
   */
  async run(request: RunRequest, build: RunBuild): Promise<PendingLayer> {
    request.signal.throwIfAborted();
    requireEntitled(request, build);
    const id = randomBytes(32).toString('hex');
    const outcome = Promise.withResolvers<PendingLayer>();
    const scope = this.#options.stepRunner
      .withOwners({ id, network: request.network }, (owners) =>
        this.#runWithOwners(id, request, build, owners, outcome),
      )
      .catch(outcome.reject)
      .finally(() => this.#scopes.delete(scope));
    this.#scopes.add(scope);
    return await outcome.promise;
  }

  /** Settles `outcome`; resolves later where the state is kept. Where it throws, `outcome` may not be settled. */
  async #runWithOwners(
    id: string,
    request: RunRequest,
    build: RunBuild,
    owners: MountOwners | undefined,
    outcome: Pick<PromiseWithResolvers<PendingLayer>, 'resolve' | 'reject'>,
  ): Promise<void> {
    const gone = Promise.withResolvers<void>();
    const state = await this.#prepare(id, request, build, owners);
    let layer: PendingLayer | undefined;
    try {
      const end = await step('build/run', id, () => this.#options.stepRunner.run(state.step)).catch(
        (error: unknown) => {
          throw request.signal.aborted ? error : explainStepError(request.args, error);
        },
      );
      if (end.exitCode === 0) {
        layer = await this.#finish(state, end, request, build);
        outcome.resolve(layer);
        return;
      }
      const kept = build.keepFailed ? this.#failed.keep(state.step, build.id, gone.promise) : undefined;
      outcome.reject(failure(request, end, state.output, kept === undefined ? undefined : id));
      await kept;
    } finally {
      await this.#end(state, layer === undefined);
      gone.resolve();
    }
  }

  async #prepare(
    id: string,
    request: RunRequest,
    build: RunBuild,
    owners: MountOwners | undefined,
  ): Promise<StepState> {
    const name = id.slice(0, 16);
    const root = new StepRoot(join(this.#runs, name), this.#options.snapshotter);
    const output = new StepOutput(request.vertex);
    let mounts: StepMounts | undefined;
    try {
      await step('build/mount-root', id, () => root.mount(request.layers, request.epochSeconds, owners));
      mounts = await step('build/open-mounts', id, () =>
        StepMounts.open(request.mounts, {
          folder: root.folder,
          execFolder: join(this.#options.execDirectory, name),
          caches: this.caches,
          session: build.session,
          owners,
          onWait: (text) => request.vertex.log(text, 'stderr'),
          signal: request.signal,
        }),
      );
      return { root, mounts, output, step: runStep(id, root, request, build, mounts, output) };
    } catch (error) {
      await this.#closeMounts(mounts, id);
      await root.unmount();
      await root.remove();
      throw error;
    }
  }

  /** Of a step that has succeeded. */
  async #finish(
    { root, mounts }: StepState,
    end: StepEnd,
    request: RunRequest,
    { newLayers }: RunBuild,
  ): Promise<PendingLayer> {
    const { path } = root;
    await step('build/close-mounts', path, () => mounts.close());
    await step('build/unmount-root', path, () => root.unmount());
    const { empty } = await step('build/settle-root', path, () =>
      root.settle(end.untouched, request.epochSeconds),
    );
    return new UpperLayer(root.upper, {
      empty,
      commit: (signal) =>
        step('build/commit-run', path, () => this.#options.snapshotter.commit(root.upper, signal, newLayers)),
      remove: () => step('build/remove-run', path, () => root.remove()),
    });
  }

  async #closeMounts(mounts: StepMounts | undefined, id: string): Promise<void> {
    try {
      await mounts?.close();
      removeTreeSync(join(this.#options.execDirectory, id.slice(0, 16)));
    } catch (error) {
      log.warn({ err: error, step: id }, 'mounts of a build step remain until the next start');
    }
  }

  async #end({ root, mounts, step }: StepState, remove: boolean): Promise<void> {
    await this.#closeMounts(mounts, step.id);
    if (!remove) return;
    try {
      await root.unmount();
      await root.remove();
    } catch (error) {
      log.warn({ err: error, step: step.id }, 'the root of a build step remains until the next start');
    }
  }

  /** Failed steps that are kept, the oldest first. */
  failedSteps(): FailedStep[] {
    return this.#failed.list();
  }

  /** Throws NotFound where no failed step of this ID is kept. */
  require(id: string): void {
    this.#failed.require(id);
  }

  /** See FailedSteps.shell. */
  async shell(id: string, request: ShellRequest): Promise<{ exitCode: number }> {
    return await this.#failed.shell(id, request);
  }

  async releaseFailed(id: string): Promise<void> {
    await this.#failed.release(id);
  }

  /** Platforms whose programs this machine runs, its own first. */
  platforms(): Platform[] {
    return runnablePlatforms();
  }

  /** Removes what a daemon that was killed has left. Called once, before any step. */
  async sweep(): Promise<void> {
    const { execDirectory } = this.#options;
    const below = [`${this.#runs}/`, `${execDirectory}/`];
    for (const { mountPoint } of readMountTable().toReversed()) {
      if (!below.some((prefix) => mountPoint.startsWith(prefix))) continue;
      try {
        // Images that lay below it have one user less.
        await this.#options.snapshotter.unmount(mountPoint);
        addon().unmount(mountPoint, MNT_DETACH | UMOUNT_NOFOLLOW);
      } catch (error) {
        if (errnoCode(error) === 'EINVAL') continue;
        // What is mounted there must not be removed with the rest.
        log.warn(`cannot unmount ${mountPoint}, which a build left: ${errorMessage(error)}`);
        return;
      }
    }
    for (const directory of [this.#runs, execDirectory]) {
      for (const name of readdirSync(directory)) {
        await removeTree(join(directory, name)).catch((error: unknown) =>
          log.warn({ err: error, path: join(directory, name) }, 'what a build step left cannot be removed'),
        );
      }
    }
    await this.caches.sweep();
  }

  /** Lets failed steps go. Steps that run are their builds' to abort before. */
  async close(): Promise<void> {
    await this.#failed.close();
    await Promise.allSettled(this.#scopes);
  }
}

function requireEntitled(request: RunRequest, { entitlements }: RunBuild): void {
  const needed = [
    ...(request.network === 'host' ? ['network.host'] : []),
    ...(request.insecure ? ['security.insecure'] : []),
  ];
  for (const one of needed) {
    if (!entitlements.includes(one)) throw new ForbiddenError(`${one} is not allowed`);
  }
}

function runStep(
  id: string,
  root: StepRoot,
  request: RunRequest,
  build: RunBuild,
  mounts: StepMounts,
  output: StepOutput,
): RunStep {
  const taken = new Set(mounts.env.map(nameOf));
  const own = new Set(request.env.map(nameOf));
  // The step's own SSH_AUTH_SOCK stays; a secret's variable is asked for by name.
  const added = mounts.env.filter((entry) => nameOf(entry) !== 'SSH_AUTH_SOCK' || !own.has('SSH_AUTH_SOCK'));
  const kept = request.env.filter((entry) => nameOf(entry) === 'SSH_AUTH_SOCK' || !taken.has(nameOf(entry)));
  return {
    id,
    rootfs: root.path,
    args: [...request.args],
    env: [...kept, ...added],
    cwd: request.cwd,
    user: request.user,
    network: request.network,
    extraHosts: build.extraHosts,
    limits: build.limits,
    ulimits: build.ulimits,
    cgroupParent: build.cgroupParent,
    insecure: request.insecure,
    files: request.script === undefined ? [] : [scriptFile(root, request.script)],
    mounts: mounts.mounts,
    onOutput: (chunk, stream) => output.write(chunk, stream),
    signal: request.signal,
  };
}

function nameOf(entry: string): string {
  return entry.split('=', 1)[0] ?? '';
}

function scriptFile(root: StepRoot, script: { name: string; content: string }) {
  const source = join(root.folder, 'script');
  writeFileSync(source, script.content, { mode: 0o755 });
  return { source, destination: `/dev/pipes/${script.name}` };
}

function failure(
  request: RunRequest,
  end: StepEnd,
  output: StepOutput,
  keptStep: string | undefined,
): RunFailedError | InvalidParameterError {
  const foreign = end.failure === undefined ? undefined : whyNotExecuted(end.failure, request.platform);
  if (foreign !== undefined) return new InvalidParameterError(`${end.failure}: ${foreign}`);
  return new RunFailedError(request.args, {
    exitCode: end.exitCode,
    lastOutput: output.lastLines(),
    keptStep,
  });
}
