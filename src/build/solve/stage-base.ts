/** Where a stage begins: nothing, an image, another stage, or a named context, whose files may be all that there is. */
import { configPlatform, type ImageConfig } from '../../image/image-config.ts';
import type { Platform } from '../../image/platform.ts';
import type { Image } from '../../image/store/image-store.ts';
import type { StageArguments } from './arguments.ts';
import { epochOf, FIRST_EPOCH } from './build-epochs.ts';
import type { StageHistory } from './built-image.ts';
import type { ConfigState } from './config-state.ts';
import { copyWork } from './copy-work.ts';
import { LayerStack } from './layer-stack.ts';
import { LayerSteps, type LayerStepsOptions } from './layer-steps.ts';
import type { CopyStepPlan } from './planned-step.ts';
import { resultFor, resultLayers } from './result-context.ts';
import type { SolveContext } from './solve-context.ts';
import type { BuiltImage, BuiltLayer } from './solved.ts';

export interface StageBase {
  platform: Platform;
  /** The configuration that all of the line began with; undefined from scratch. */
  origin: ImageConfig | undefined;
  baseImage: Image | undefined;
  state: Pick<ConfigState, 'config' | 'author'>;
  history: readonly StageHistory[];
  baseLayers: readonly BuiltLayer[];
  /** Of the steps so far. */
  layers: readonly BuiltLayer[];
  epochSeconds: number;
  /** Of the stage that this one is FROM. */
  args?: StageArguments;
}

type Epoch = Pick<SolveContext, 'explicitEpoch'>;

export function scratchBase({ explicitEpoch }: Epoch, platform: Platform): StageBase {
  return {
    platform,
    origin: undefined,
    baseImage: undefined,
    state: { config: { WorkingDir: '/' }, author: '' },
    history: [],
    baseLayers: [],
    layers: [],
    epochSeconds: explicitEpoch ?? FIRST_EPOCH,
  };
}

export function imageBase(context: Epoch, image: Image): StageBase {
  const layers = image.diffIds.map((diffId) => ({ diffId, sizeBytes: 0 }));
  return { ...configured(context, configPlatform(image.config), image.config, layers), baseImage: image };
}

/** `name`: of the context that is another build's result. */
export function resultBase(
  context: Epoch,
  images: readonly BuiltImage[],
  wanted: Platform,
  name: string,
): StageBase {
  const image = resultFor(images, wanted, name);
  return configured(context, image.platform, image.config, resultLayers(image));
}

function configured(
  { explicitEpoch }: Epoch,
  platform: Platform,
  config: ImageConfig,
  baseLayers: readonly BuiltLayer[],
): StageBase {
  return {
    platform,
    origin: config,
    baseImage: undefined,
    state: { config: config.config, author: typeof config.author === 'string' ? config.author : '' },
    history: [],
    baseLayers,
    layers: [],
    epochSeconds: explicitEpoch ?? epochOf(config),
  };
}

export interface FilesBaseInput {
  context: SolveContext;
  /** Of the named context. */
  name: string;
  platform: Platform;
  platformText: string;
  layerSteps: LayerStepsOptions;
}

/** The files of a named context as the first layer, as COPY would bring them. */
export async function filesBase({
  context,
  name,
  platform,
  platformText,
  layerSteps,
}: FilesBaseInput): Promise<StageBase> {
  const base = scratchBase(context, platform);
  const description = `FROM ${name}`;
  const vertex = context.progress.vertex(`[context ${name}] files as base`);
  const stack = new LayerStack([]);
  const step: CopyStepPlan = {
    kind: 'copy',
    place: { line: 1, endLine: 1, source: description, trigger: false },
    history: description,
    author: '',
    instruction: 'COPY',
    from: name,
    sources: ['/'],
    inline: [],
    destination: '/',
    workingDir: '/',
    chown: '',
    chmod: '',
    link: false,
    parents: false,
    excludes: [],
    checksum: '',
    keepGitDir: false,
    unpack: false,
  };
  const source = await context.sources.named(name, platform);
  const { epochSeconds } = base;
  const work = copyWork({
    context,
    step,
    source,
    vertex,
    platform: platformText,
    epochSeconds,
    description,
  });
  const { madeLayer } = await new LayerSteps(layerSteps, stack).perform(work, vertex);
  const layer = await madeLayer;
  return {
    ...base,
    history: [{ createdBy: description, author: '', layer }],
    layers: await stack.settleAbove(),
  };
}
