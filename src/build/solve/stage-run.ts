/**
 * One stage for one platform: its base, its plan, and its steps in order. Other stages that it needs run beside it and
 * are waited for where a step takes from them.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { configPlatform, type ImageConfig } from '../../image/image-config.ts';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { Image } from '../../image/store/image-store.ts';
import type { ProgressVertex } from '../progress.ts';
import { StageArguments } from './arguments.ts';
import { displayName } from './base-images.ts';
import { BuildError } from './build-error.ts';
import type { BuildLint } from './build-lint.ts';
import type { StageHistory } from './built-image.ts';
import type { ConfigState } from './config-state.ts';
import { copyWork, workdirWork } from './copy-work.ts';
import { LayerStack } from './layer-stack.ts';
import { LayerSteps, type LayerWork } from './layer-steps.ts';
import { resultFor, resultLayers } from './result-context.ts';
import { runWork } from './run-work.ts';
import { type Lines, placed, type SolveContext } from './solve-context.ts';
import type { BuiltImage, BuiltLayer } from './solved.ts';
import type { GraphStage, StageGraph, StageSource } from './stage-graph.ts';
import { type PlannedStep, planStage, type RunStepPlan, type StepPlace } from './stage-plan.ts';
import { stepId } from './step-listener.ts';
import type { StepSource } from './step-sources.ts';

/** ZIP archives cannot say an earlier time. */
export const FIRST_EPOCH = 315_532_800;

/** What a stage comes to, and what the next one that builds on it begins with. */
export interface StageResult {
  platform: Platform;
  /** The configuration that all of the line began with; undefined from scratch. */
  origin: ImageConfig | undefined;
  baseImage: Image | undefined;
  state: Pick<ConfigState, 'config' | 'author'>;
  history: readonly StageHistory[];
  baseLayers: readonly BuiltLayer[];
  /** Of the steps. */
  layers: readonly BuiltLayer[];
  epochSeconds: number;
}

export interface StageRunInput {
  context: SolveContext;
  graph: StageGraph;
  stage: GraphStage;
  targetPlatform: Platform;
  /** The result of another stage for the same target platform. */
  result: (index: number) => Promise<StageResult>;
  lint: BuildLint | undefined;
}

type Base = Omit<StageResult, 'layers'> & { layers: readonly BuiltLayer[] };

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
    const plan = planStage({
      instructions: stage.stage.instructions,
      fromLine: from.line,
      base: { config: base.state.config, author: base.state.author },
      args: new StageArguments(this.#input.graph.args, base.epochSeconds),
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
      throw placed(this.#context, place, error, vertex?.digest);
    }
  }

  async #base(): Promise<Base> {
    const { stage, targetPlatform, result } = this.#input;
    const { base } = stage;
    const wanted = stage.platform ?? targetPlatform;
    if (base.kind === 'stage') return { ...(await result(base.index)) };
    if (base.kind === 'scratch') return this.#scratch(wanted);
    const explicit = stage.platform !== undefined || this.#explicitPlatform() !== undefined;
    if (base.kind === 'context') return await this.#contextBase(base.name, wanted, explicit);
    return this.#fromImage(await this.#image(base.reference, explicit ? wanted : undefined));
  }

  /** The target's, where the request names it: what this machine has under a name may else be of any. */
  #explicitPlatform(): Platform | undefined {
    return this.#context.request.platforms.length > 0 ? this.#input.targetPlatform : undefined;
  }

  #scratch(platform: Platform): Base {
    return {
      platform,
      origin: undefined,
      baseImage: undefined,
      state: { config: { WorkingDir: '/' }, author: '' },
      history: [],
      baseLayers: [],
      layers: [],
      epochSeconds: this.#context.explicitEpoch ?? FIRST_EPOCH,
    };
  }

  async #image(reference: string, platform: Platform | undefined): Promise<Image> {
    const { listener, images } = this.#context;
    const id = this.#stepId(-1);
    return await images.get(reference, platform, (message) => listener?.pulling(id, message));
  }

  #fromImage(image: Image): Base {
    const { config } = image;
    return {
      platform: configPlatform(config),
      origin: config,
      baseImage: image,
      state: { config: config.config, author: typeof config.author === 'string' ? config.author : '' },
      history: [],
      baseLayers: image.diffIds.map((diffId) => ({ diffId, sizeBytes: 0 })),
      layers: [],
      epochSeconds: this.#context.explicitEpoch ?? epochOf(config),
    };
  }

  #fromResult(image: BuiltImage): Base {
    const { platform, config } = image;
    return {
      platform,
      origin: config,
      baseImage: undefined,
      state: { config: config.config, author: typeof config.author === 'string' ? config.author : '' },
      history: [],
      baseLayers: resultLayers(image),
      layers: [],
      epochSeconds: this.#context.explicitEpoch ?? epochOf(config),
    };
  }

  /** FROM a named context: an image, a stage, or files that become the first layer. */
  async #contextBase(name: string, wanted: Platform, explicit: boolean): Promise<Base> {
    const spec = this.#context.request.namedContexts[name];
    if (spec?.kind === 'image') {
      return this.#fromImage(await this.#image(spec.reference, explicit ? wanted : undefined));
    }
    if (spec?.kind === 'result') return this.#fromResult(resultFor(spec.images, wanted, name));
    if (spec?.kind === 'stage') {
      const source = this.#input.graph.source(spec.name, this.#input.stage.index);
      if (source.kind !== 'stage')
        throw new InvalidParameterError(`target stage "${spec.name}" could not be found`);
      return { ...(await this.#input.result(source.index)) };
    }
    throw new InvalidParameterError(
      `FROM ${name}: the build context of that name has files, not an image: use it with COPY --from=${name}`,
    );
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

  #began(base: Base): void {
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

  async #steps(steps: readonly PlannedStep[], stack: LayerStack, base: Base): Promise<StageHistory[]> {
    const { context, stage } = this.#input;
    const { request } = context;
    const layerSteps = new LayerSteps(
      {
        parts: context.parts,
        cache: context.cache,
        executions: context.executions,
        slots: context.slots,
        noCache:
          request.noCache === true ||
          (Array.isArray(request.noCache) && request.noCache.some((name) => this.#isNamed(name))),
        pipelined: context.pipelined,
        buildId: context.id,
        signal: context.signal,
      },
      stack,
    );
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
            const work = await this.#work(step, vertex, base);
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

  async #work(
    step: Exclude<PlannedStep, { kind: 'config' }>,
    vertex: ProgressVertex,
    base: Base,
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
    if (mount.from === '') return mount.type === 'bind' ? this.#context.sources.main() : undefined;
    if (mount.from === 'scratch') return 'scratch';
    return await this.#source(mount.from, place);
  }

  async #source(from: string, place: StepPlace): Promise<StepSource> {
    const { context, graph, stage } = this.#input;
    const before = place.trigger ? stage.index : Number.POSITIVE_INFINITY;
    return await this.#open(graph.source(from, stage.index, before), from, context);
  }

  async #open(source: StageSource, from: string, context: SolveContext): Promise<StepSource> {
    switch (source.kind) {
      case 'scratch':
        return context.sources.layers([], 'scratch');
      case 'image':
        return await context.sources.image(source.reference, this.#explicitPlatform());
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
        if (spec?.kind !== 'stage') return await context.sources.named(source.name, this.#explicitPlatform());
        return await this.#open(
          this.#input.graph.source(spec.name, this.#input.stage.index),
          spec.name,
          context,
        );
      }
    }
  }
}

/** `created` of an image, never before what can be told of files. */
export function epochOf(config: Pick<ImageConfig, 'created'>): number {
  const created = Date.parse(config.created ?? '');
  return Number.isNaN(created) ? FIRST_EPOCH : Math.max(FIRST_EPOCH, Math.floor(created / 1000));
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
