/**
 * The steps of a build as the Dockerfile lists them, those included that BuildKit's vertices do not show: what a
 * printer in the style of the classic builder needs beside the statuses.
 */
import type { JSONMessage } from '../../api/images.ts';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { Dockerfile } from '../dockerfile/ast.ts';
import type { StageGraph } from './stage-graph.ts';

export interface ListedStep {
  id: string;
  /** The instruction as written. */
  text: string;
  /** Stands in front of the first FROM. */
  global: boolean;
}

export interface StepListener {
  /** All steps that the target needs, in order. Once, before any other call. */
  planned(steps: readonly ListedStep[]): void;
  /** The step's output comes with this vertex. */
  began(id: string, vertex: string): void;
  /** Messages of a pull. */
  pulling(id: string, message: JSONMessage<unknown>): void;
  /** A step of the base image that this one brings along; text of the trigger. */
  triggers(id: string, texts: readonly string[]): void;
  /** `result`: hex digits that name what there is now. */
  ended(id: string, outcome: { cached: boolean; result: string }): void;
}

export function stepId(stage: number, instruction: number, platform: string): string {
  return `${platform} ${stage}.${instruction}`;
}

/** Tells of all steps; those in front of the first FROM are done. */
export function announceSteps(
  listener: StepListener,
  { globalArgs }: Dockerfile,
  graphs: readonly { graph: StageGraph; platform: Platform }[],
): void {
  const steps: ListedStep[] = globalArgs.map(({ source }, index) => ({
    id: stepId(-1, index, ''),
    text: source,
    global: true,
  }));
  for (const { graph, platform } of graphs) {
    const name = formatPlatform(platform);
    for (const { stage, index } of graph.needed()) {
      steps.push({ id: stepId(index, -1, name), text: stage.from.source, global: false });
      stage.instructions.forEach(({ source }, i) => {
        steps.push({ id: stepId(index, i, name), text: source, global: false });
      });
    }
  }
  listener.planned(steps);
  for (const [index] of globalArgs.entries()) {
    listener.ended(stepId(-1, index, ''), { cached: false, result: '' });
  }
}
