/** From the planned steps of one stage to work that can be looked for and done: where their files come from, and how. */
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { ProgressVertex } from '../progress.ts';
import { copyWork, workdirWork } from './copy-work.ts';
import type { LayerWork } from './layer-steps.ts';
import type { PlannedStep, RunStepPlan, StepPlace } from './planned-step.ts';
import { resultFor, resultLayers } from './result-context.ts';
import { runWork } from './run-work.ts';
import type { StageBase } from './stage-base.ts';
import type { StageSource } from './stage-graph.ts';
import type { StageRunInput } from './stage-run.ts';
import type { StepSource } from './step-sources.ts';

export class StageWork {
  readonly #input: StageRunInput;
  /** The target's, where the request names it. */
  readonly #platform: Platform | undefined;

  constructor(input: StageRunInput, platform: Platform | undefined) {
    this.#input = input;
    this.#platform = platform;
  }

  /** Throws InvalidParameter for a step that takes from what there is not. */
  async of(
    step: Exclude<PlannedStep, { kind: 'config' }>,
    vertex: ProgressVertex,
    base: StageBase,
  ): Promise<LayerWork> {
    const { context } = this.#input;
    const { epochSeconds } = base;
    const platform = formatPlatform(base.platform);
    const description = vertex.name;
    switch (step.kind) {
      case 'run':
        return runWork({
          context,
          step,
          sources: await Promise.all(step.mounts.map((mount) => this.#mountSource(mount, step.place))),
          platform: base.platform,
          epochSeconds,
          description,
        });
      case 'copy': {
        const source = step.from === '' ? context.sources.main() : await this.#source(step.from, step.place);
        return copyWork({ context, step, source, vertex, platform, epochSeconds, description });
      }
      case 'workdir':
        return workdirWork({ context, step, platform, epochSeconds, description });
    }
  }

  async #mountSource(
    mount: RunStepPlan['mounts'][number],
    place: StepPlace,
  ): Promise<StepSource | 'scratch' | undefined> {
    if (mount.type !== 'bind' && mount.type !== 'cache') return undefined;
    if (mount.from === '') return mount.type === 'bind' ? this.#input.context.sources.main() : undefined;
    if (mount.from === 'scratch') return 'scratch';
    return await this.#source(mount.from, place);
  }

  async #source(from: string, place: StepPlace): Promise<StepSource> {
    const { graph, stage } = this.#input;
    const before = place.trigger ? stage.index : Number.POSITIVE_INFINITY;
    return await this.#open(graph.source(from, stage.index, before), from);
  }

  async #open(source: StageSource, from: string): Promise<StepSource> {
    const { context } = this.#input;
    switch (source.kind) {
      case 'scratch':
        return context.sources.layers([], 'scratch');
      case 'image':
        return await context.sources.image(source.reference, this.#platform);
      case 'stage': {
        const { baseLayers, layers } = await this.#input.result(source.index);
        return context.sources.layers([...baseLayers, ...layers], from);
      }
      case 'context': {
        const spec = context.request.namedContexts[source.name];
        if (spec?.kind === 'result') {
          const wanted = this.#input.stage.platform ?? this.#input.targetPlatform;
          return context.sources.layers(resultLayers(resultFor(spec.images, wanted, source.name)), from);
        }
        if (spec?.kind === 'oci-layout') {
          const image = await context.layouts.get(source.name, spec, this.#platform);
          return context.sources.layers(image.layers, from);
        }
        return await context.sources.named(source.name, this.#platform);
      }
    }
  }
}
