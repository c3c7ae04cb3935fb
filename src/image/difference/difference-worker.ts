/**
 * Entry point of the thread that compares two mounted trees: it reads what it is to do from `workerData`, posts one
 * answer and ends. Bundled as difference-worker.cjs beside the daemon; run from this file in development.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { EngineError, errorMessage, UnavailableError } from '../../base/errors.ts';
import { compareTrees } from './compare-trees.ts';
import { MountedTree } from './mounted-tree.ts';
import type { ComparisonAnswer, ComparisonTask } from './tree-comparison.ts';

/** Waits until the main thread has asked for the end: descriptors are closed that way, which ending a thread does not. */
function stoppable(stop: Int32Array): () => void {
  return () => {
    if (Atomics.load(stop, 0) !== 0) throw new UnavailableError('the comparison was given up');
  };
}

function compare(task: ComparisonTask): ComparisonAnswer {
  const from = new MountedTree(task.from);
  try {
    const to = new MountedTree(task.to);
    try {
      const check = stoppable(new Int32Array(task.stop));
      return { difference: compareTrees(from, to, { ...task.options, check }) };
    } finally {
      to.close();
    }
  } finally {
    from.close();
  }
}

function answer(task: ComparisonTask): ComparisonAnswer {
  try {
    return compare(task);
  } catch (error) {
    const kind = error instanceof EngineError ? error.kind : 'Internal';
    return { failure: { kind, message: errorMessage(error) } };
  }
}

parentPort?.postMessage(answer(workerData as ComparisonTask));
