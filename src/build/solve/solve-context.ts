/** What all stages of one build share. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import type { Semaphore } from '../../image/semaphore.ts';
import type { ParentRoot } from '../copy/copy-step.ts';
import type { Dockerfile } from '../dockerfile/ast.ts';
import type { DockerfileSource } from '../dockerfile/errors.ts';
import type { BuildLock } from '../lock/build-lock.ts';
import type { Progress } from '../progress.ts';
import type { RunBuild } from '../run/run-step.ts';
import type { BuildSession } from '../session.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { ClientLayouts } from '../source/client-layouts.ts';
import type { BaseImages } from './base-images.ts';
import { BuildError } from './build-error.ts';
import type { BuildParts } from './build-parts.ts';
import type { Executions } from './executions.ts';
import type { LayerStack } from './layer-stack.ts';
import type { StepCacheUse } from './step-cache-use.ts';
import type { StepListener } from './step-listener.ts';
import { fetchRemote, type StepSources } from './step-sources.ts';

export interface SolveContext {
  readonly id: string;
  readonly request: SolveRequest;
  readonly parts: BuildParts;
  readonly session: BuildSession | undefined;
  readonly progress: Progress;
  /** The client's, and that of a stage that failed. */
  readonly signal: AbortSignal;
  readonly file: { name: string; content: string };
  readonly dockerfile: Dockerfile;
  readonly images: BaseImages;
  readonly sources: StepSources;
  readonly layouts: ClientLayouts;
  readonly cache: StepCacheUse;
  readonly executions: Executions;
  readonly lock: BuildLock;
  readonly slots: Semaphore;
  readonly listener: StepListener | undefined;
  /** SOURCE_DATE_EPOCH as given. */
  readonly explicitEpoch: number | undefined;
  readonly pipelined: boolean;
  /** Several: names of steps tell of which. */
  readonly multiPlatform: boolean;
  readonly runBuild: RunBuild;
}

export interface Lines {
  line: number;
  endLine: number;
}

export function sourceOf(context: Pick<SolveContext, 'file'>, lines: Lines): DockerfileSource {
  return {
    filename: context.file.name,
    content: context.file.content,
    range: { start: { line: lines.line }, end: { line: lines.endLine } },
  };
}

/** The error with the place that it belongs to; aborts stay as they are, and so does what has a place. */
export function placed(
  context: Pick<SolveContext, 'file' | 'signal'>,
  lines: Lines,
  error: unknown,
  vertex?: string,
): unknown {
  if (error instanceof BuildError || context.signal.aborted) return error;
  const exitCode =
    error instanceof EngineError && 'exitCode' in error && typeof error.exitCode === 'number'
      ? error.exitCode
      : undefined;
  return new BuildError(error, { source: sourceOf(context, lines), vertex, exitCode });
}

/** Mounts what a stage has so far, read-only, as long as `body` takes. */
export async function withParentRoot<T>(
  context: Pick<SolveContext, 'parts' | 'signal'>,
  stack: LayerStack | undefined,
  body: (root: ParentRoot) => Promise<T>,
): Promise<T> {
  const { snapshotter, sources } = context.parts;
  const folder = sources.work.create();
  const path = join(folder.path, 'root');
  mkdirSync(path, { mode: 0o755 });
  try {
    if (stack === undefined) return await body({ path });
    await fetchRemote(stack.storedLayers(), context.signal);
    await step('build/mount-parent', path, () => snapshotter.mount({ ...stack.mountable(), target: path }));
    try {
      return await body({ path });
    } finally {
      await step('build/unmount-parent', path, () => snapshotter.unmount(path));
    }
  } finally {
    await folder.release();
  }
}
