/**
 * The stages of a build for all its platforms: all that a target needs begin at once, and wait for each other where they
 * must.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { Platform } from '../../image/platform.ts';
import type { BuildLint } from './build-lint.ts';
import type { SolveContext } from './solve-context.ts';
import type { StageGraph } from './stage-graph.ts';
import { runStage, type StageResult } from './stage-run.ts';

/** The Dockerfile as it is for one platform. */
export interface PlatformGraph {
  platform: Platform;
  graph: StageGraph;
}

export interface AllStagesInput {
  context: SolveContext;
  graphs: readonly PlatformGraph[];
  /** Hears of the stages of the first platform. */
  lint: BuildLint | undefined;
  /** Ends what is still running. */
  fail(error: unknown): void;
}

/** The targets' results, in the order of `graphs`. Nothing runs any more when it is settled. */
export async function runStages({ context, graphs, lint, fail }: AllStagesInput): Promise<StageResult[]> {
  const running: Promise<unknown>[] = [];
  const targets = graphs.map(({ graph, platform: targetPlatform }, number) => {
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
      run.catch(fail);
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
    fail(error);
    throw error;
  } finally {
    await Promise.allSettled(running);
  }
}
