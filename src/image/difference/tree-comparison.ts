/** Compares two mounted trees in a thread of its own, so that the daemon answers others meanwhile. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { EngineError, type ErrorKind, InternalError, UnavailableError } from '../../base/errors.ts';
import { beginSpan } from '../../base/spans.ts';
import { libraryDirectory } from '../../native/addon.ts';
import type { TreeDifference } from './compare-trees.ts';
import type { MountedTreeOptions } from './mounted-tree.ts';

/** What hostile trees may make the thread take; the trees of honest ones need a tenth. */
const MAX_HEAP_MB = 1536;

export interface TreeComparisonOptions {
  /** System packages, and those of npm and pip. */
  packages: boolean;
  files: boolean;
  /** Read files of equal size, where it is not known that they are the same. */
  content: boolean;
  /** Show files of which only the modification time is different. */
  times: boolean;
}

/** What the thread is given; an integer other than 0 in `stop` ends it. */
export interface ComparisonTask {
  from: MountedTreeOptions;
  to: MountedTreeOptions;
  options: TreeComparisonOptions;
  stop: SharedArrayBuffer;
}

export interface ComparisonAnswer {
  difference?: TreeDifference;
  failure?: { kind: ErrorKind; message: string };
}

/** Bundled: difference-worker.cjs beside the addon. From the sources: the TypeScript file, which Node strips itself. */
function workerFile(): string {
  const source = join(import.meta.dirname, 'difference-worker.ts');
  return existsSync(source) ? source : join(libraryDirectory(), 'difference-worker.cjs');
}

/** When it rejects, also with the signal's reason, nothing of the trees is open any more. */
export async function compareMountedTrees(
  from: MountedTreeOptions,
  to: MountedTreeOptions,
  options: TreeComparisonOptions,
  signal: AbortSignal,
): Promise<TreeDifference> {
  signal.throwIfAborted();
  const stop = new SharedArrayBuffer(4);
  const task: ComparisonTask = { from, to, options, stop };
  const worker = new Worker(workerFile(), {
    name: 'difference',
    workerData: task,
    // Descriptors come from the addon, which Node's bookkeeping takes for mistakes.
    trackUnmanagedFds: false,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
  const onAbort = (): void => {
    Atomics.store(new Int32Array(stop), 0, 1);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const ended = beginSpan('worker', 'difference-worker');
  try {
    const answer = await answerOf(worker);
    signal.throwIfAborted();
    if (answer.difference !== undefined) return answer.difference;
    const { kind, message } = answer.failure ?? {
      kind: 'Internal',
      message: 'the comparison gave no answer',
    };
    throw new EngineError(kind, message);
  } finally {
    ended();
    signal.removeEventListener('abort', onAbort);
  }
}

async function answerOf(worker: Worker): Promise<ComparisonAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ComparisonAnswer>();
  let answer: ComparisonAnswer | undefined;
  worker.once('message', (message: ComparisonAnswer) => {
    answer = message;
  });
  worker.once('error', (error: Error & { code?: string }) => {
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY')
      reject(new UnavailableError('the file trees are too large to be compared: memory ran out'));
    else reject(new InternalError('the comparison failed', error));
  });
  worker.once('exit', () => {
    if (answer !== undefined) resolve(answer);
    else reject(new InternalError('the comparison ended in the middle of its work'));
  });
  return await promise;
}
