/**
 * One stage for one platform: its base, its plan, and its steps in order. Other stages that it needs run beside it and
 * are waited for where a step takes from them.
 */
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { Image } from '../../image/store/image-store.ts';
import { explainDiskFull } from '../disk-full.ts';
import type { ProgressVertex } from '../progress.ts';
import { StageArguments } from './arguments.ts';
import { displayName } from './base-images.ts';
import { BuildError } from './build-error.ts';
import type { BuildLint } from './build-lint.ts';
import type { StageHistory } from './built-image.ts';
import { LayerStack } from './layer-stack.ts';
import { LayerSteps, type LayerStepsOptions } from './layer-steps.ts';
import type { PlannedStep } from './planned-step.ts';
import { type Lines, placed, type SolveContext } from './solve-context.ts';
import { filesBase, imageBase, resultBase, type StageBase, scratchBase } from './stage-base.ts';
import type { GraphStage, StageGraph } from './stage-graph.ts';
import { planStage } from './stage-plan.ts';
import { StageWork } from './stage-work.ts';
import { stepId } from './step-listener.ts';

/** What a stage comes to, and what the next one that builds on it begins with. */
export type StageResult = StageBase;

export interface StageRunInput {
  context: SolveContext;
  graph: StageGraph;
  stage: GraphStage;
  targetPlatform: Platform;
  /** The result of another stage for the same target platform. */
  result: (index: number) => Promise<StageResult>;
  lint: BuildLint | undefined;
}

/** Throws BuildError with the instruction that failed. */
export async function runStage(input: StageRunInput): Promise<StageResult> {
  return await new StageRun(input).run();
}

class StageRun {
  readonly #input: StageRunInput;
  readonly #context: SolveContext;
  readonly #platformText: string;
  #numbers = { next: 2, total: 1 };

  constructor(input: StageRunInput) {
    this.#input = input;
    this.#context = input.context;
    this.#platformText = formatPlatform(input.targetPlatform);
  }

  async run(): Promise<StageResult> {
    const { stage } = this.#input;
    const { from } = stage.stage;
    const lines = { line: from.line, endLine: from.endLine };
    const base = await this.#guarded(lines, () => this.#base());
    this.#input.lint?.stage(stage, base.state, base.baseImage?.config);
    const args = new StageArguments(this.#input.graph.args, base.epochSeconds, base.args);
    const plan = planStage({
      instructions: stage.stage.instructions,
      fromLine: from.line,
      base: { config: base.state.config, author: base.state.author },
      args,
      escapeChar: this.#input.graph.escapeChar,
      at: (place, body) => this.#at(place, body),
    });
    this.#numbers.total = 1 + plan.steps.filter(({ kind }) => kind !== 'config').length;
    this.#began(base);
    const stack = new LayerStack(base.baseLayers, base.layers);
    try {
      const history = await this.#steps(plan.steps, stack, base);
      const layers = await this.#guarded(lines, () => stack.settleAbove());
      return {
        ...base,
        state: { config: plan.state.config, author: plan.state.author },
        history: [...base.history, ...history],
        layers,
        args,
      };
    } finally {
      await stack.releaseUppers();
    }
  }

  #at<T>(place: Lines, body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw placed(this.#context, place, error);
    }
  }

  async #guarded<T>(place: Lines, body: () => Promise<T>, vertex?: ProgressVertex): Promise<T> {
    try {
      return await body();
    } catch (error) {
      const { directory } = this.#context.parts.sources.work;
      throw placed(this.#context, place, explainDiskFull(error, directory), vertex?.digest);
    }
  }

  async #base(): Promise<StageBase> {
    const { stage, targetPlatform, result } = this.#input;
    const { base } = stage;
    const context = this.#context;
    const wanted = stage.platform ?? targetPlatform;
    const platform = stage.platform ?? this.#explicitPlatform();
    switch (base.kind) {
      case 'stage':
        return { ...(await result(base.index)) };
      case 'scratch':
        return scratchBase(context, wanted);
      case 'image':
        return imageBase(context, await this.#image(base.reference, platform));
      case 'context': {
        const { name } = base;
        const spec = context.request.namedContexts[name];
        if (spec?.kind === 'image') return imageBase(context, await this.#image(spec.reference, platform));
        if (spec?.kind === 'result') return resultBase(context, spec.images, wanted, name);
        if (spec?.kind === 'oci-layout') {
          return resultBase(context, [await context.layouts.get(name, spec, platform)], wanted, name);
        }
        const input = { context, name, platform: wanted, platformText: formatPlatform(wanted) };
        return await filesBase({ ...input, layerSteps: this.#layerStepsOptions() });
      }
    }
  }

  /** The target's, where the request names it: what this machine has under a name may else be of any. */
  #explicitPlatform(): Platform | undefined {
    return this.#context.request.platforms.length > 0 ? this.#input.targetPlatform : undefined;
  }

  async #image(reference: string, platform: Platform | undefined): Promise<Image> {
    const { listener, images } = this.#context;
    const id = this.#stepId(-1);
    return await images.get(reference, platform, (message) => listener?.pulling(id, message));
  }

  #stepId(instruction: number): string {
    return stepId(this.#input.stage.index, instruction, this.#platformText);
  }

  #title(number: number, text: string): string {
    const { multiPlatform, dockerfile } = this.#context;
    const { stage } = this.#input;
    const words = [
      ...(multiPlatform ? [this.#platformText] : []),
      ...(dockerfile.stages.length > 1 ? [stage.title] : []),
      `${number}/${this.#numbers.total}`,
    ];
    return `[${words.join(' ')}] ${text}`;
  }

  #began(base: StageBase): void {
    const { stage } = this.#input;
    const { listener, progress } = this.#context;
    const id = this.#stepId(-1);
    if (stage.base.kind === 'image' || stage.base.kind === 'context') {
      const name = stage.base.kind === 'image' ? displayName(stage.base.reference) : stage.base.name;
      const vertex = progress.vertex(this.#title(1, `FROM ${name}`));
      vertex.cached();
    }
    const triggers = base.state.config.OnBuild ?? [];
    if (triggers.length > 0) listener?.triggers(id, triggers);
    listener?.ended(id, {
      cached: false,
      result: stage.base.kind === 'scratch' ? '' : (base.baseImage?.id.slice('sha256:'.length) ?? ''),
    });
  }

  async #steps(steps: readonly PlannedStep[], stack: LayerStack, base: StageBase): Promise<StageHistory[]> {
    const { context, stage } = this.#input;
    const layerSteps = new LayerSteps(this.#layerStepsOptions(), stack);
    const works = new StageWork(this.#input, this.#explicitPlatform());
    const vertices = steps.map((step) =>
      step.kind === 'config'
        ? undefined
        : context.progress.vertex(this.#title(this.#numbers.next++, oneLine(step.place.source))),
    );
    const history: { step: PlannedStep; madeLayer: Promise<boolean> }[] = [];
    const triggers = steps.filter(({ place }) => place.trigger).length;
    let name = base.baseImage?.id.slice('sha256:'.length) ?? '';
    for (const [index, step] of steps.entries()) {
      const id = index < triggers ? '' : stepId(stage.index, index - triggers, this.#platformText);
      const vertex = vertices[index];
      if (vertex === undefined || step.kind === 'config') {
        history.push({ step, madeLayer: Promise.resolve(false) });
        if (id !== '') context.listener?.ended(id, { cached: false, result: name });
        continue;
      }
      if (id !== '') context.listener?.began(id, vertex.digest);
      const outcome = await this.#guarded(
        step.place,
        async () => {
          try {
            const work = await works.of(step, vertex, base);
            return await layerSteps.perform(work, vertex);
          } catch (error) {
            // What another stage failed with is told on its own step.
            if (!vertex.ended && !(error instanceof BuildError)) vertex.fail(error);
            throw error;
          }
        },
        vertex,
      );
      name = outcome.name;
      history.push({ step, madeLayer: outcome.madeLayer });
      if (id !== '') context.listener?.ended(id, { cached: outcome.cached, result: name });
    }
    return await this.#history(history);
  }

  #layerStepsOptions(): LayerStepsOptions {
    const { context } = this.#input;
    const { noCache } = context.request;
    return {
      parts: context.parts,
      cache: context.cache,
      executions: context.executions,
      slots: context.slots,
      noCache: noCache === true || (Array.isArray(noCache) && noCache.some((name) => this.#isNamed(name))),
      pipelined: context.pipelined,
      buildId: context.id,
      signal: context.signal,
    };
  }

  async #history(
    done: readonly { step: PlannedStep; madeLayer: Promise<boolean> }[],
  ): Promise<StageHistory[]> {
    const entries: StageHistory[] = [];
    for (const { step, madeLayer } of done) {
      const layer = await this.#guarded(step.place, () => madeLayer);
      if (step.history !== undefined) entries.push({ createdBy: step.history, author: step.author, layer });
    }
    return entries;
  }

  #isNamed(name: string): boolean {
    const { stage } = this.#input;
    return name.toLowerCase() === stage.stage.from.name || name === String(stage.index);
  }
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
