/**
 * The stages of a Dockerfile one after the other: their base images, ONBUILD triggers, step numbers, and what later
 * stages find of earlier ones.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidParameterError } from '../base/errors.ts';
import type { ImageID } from '../image/digest.ts';
import { configPlatform } from '../image/image-config.ts';
import { formatPlatform, imageMatchesPlatform, type Platform, parsePlatform } from '../image/platform.ts';
import { parseReference } from '../image/reference.ts';
import type { Image } from '../image/store/image-store.ts';
import type { BuildRun } from './build-run.ts';
import type { SourceRoot } from './copy-sources.ts';
import type { Dockerfile, FromInstruction, Stage } from './dockerfile/ast.ts';
import { expandWord } from './dockerfile/expand.ts';
import { parseInstruction } from './dockerfile/parse.ts';
import { StageState } from './stage-state.ts';
import { addLabels, runInstruction, type StepContext } from './steps.ts';

/** The credentials of Docker Hub have this key in X-Registry-Config. */
const HUB_KEYS = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io'];

export class StageRunner {
  readonly #run: BuildRun;
  readonly #dockerfile: Dockerfile;
  readonly #stages: readonly Stage[];
  readonly #done: StageState[] = [];
  #step = 0;
  #steps = 0;

  constructor(run: BuildRun, dockerfile: Dockerfile) {
    this.#run = run;
    this.#dockerfile = dockerfile;
    this.#stages = upToTarget(dockerfile.stages, run.options.request.target);
  }

  /** All stages up to the target; the last one's image. */
  async runAll(): Promise<ImageID> {
    const labels = this.#run.options.request.labels;
    const labelStep = Object.keys(labels).length > 0 ? 1 : 0;
    const { globalArgs } = this.#dockerfile;
    this.#steps =
      globalArgs.length +
      labelStep +
      this.#stages.reduce((sum, stage) => sum + 1 + stage.instructions.length, 0);
    for (const instruction of globalArgs) {
      this.#announce(instruction.source);
      for (const { name, value } of instruction.args) {
        this.#run.options.args.declareGlobal(
          name,
          value === undefined ? undefined : this.#expandGlobal(value),
        );
      }
    }
    for (const stage of this.#stages)
      await this.#runStage(stage, stage === this.#stages.at(-1) ? labels : {});
    const image = this.#done.at(-1)?.image;
    if (image === undefined) {
      throw new InvalidParameterError('No image was generated. Is your Dockerfile empty?');
    }
    return image.id;
  }

  #announce(source: string): void {
    this.#run.print(`Step ${++this.#step}/${this.#steps} : ${source}\n`);
  }

  #expandGlobal(text: string): string {
    const { args } = this.#run.options;
    return expandWord(text, { escapeChar: this.#dockerfile.escapeChar, lookup: (name) => args.global(name) });
  }

  async #runStage({ from, instructions }: Stage, labels: Readonly<Record<string, string>>): Promise<void> {
    if (from.name !== '' && this.#done.some(({ name }) => name === from.name)) {
      throw new InvalidParameterError(`line ${from.line}: ${from.name} stage name already used`);
    }
    this.#announce(from.source);
    const state = await this.#begin(from);
    this.#showImage(state);
    const context: StepContext = {
      run: this.#run,
      state,
      escapeChar: this.#dockerfile.escapeChar,
      withSource: (name, body) => this.#withSource(name, body),
    };
    await this.#runTriggers(context);
    for (const instruction of instructions) {
      this.#run.signal.throwIfAborted();
      this.#announce(instruction.source);
      await runInstruction(context, instruction);
      this.#showImage(state);
    }
    if (Object.keys(labels).length > 0) {
      this.#announce(
        `LABEL ${Object.entries(labels)
          .map(([name, value]) => `${name}=${value}`)
          .join(' ')}`,
      );
      addLabels(context, labels);
      this.#showImage(state);
    }
    this.#done.push(state);
  }

  #showImage({ image }: StageState): void {
    const id = image === undefined ? '' : image.id.slice('sha256:'.length, 'sha256:'.length + 12);
    this.#run.print(` ---> ${id}\n`);
  }

  /** Triggers of the base image, as if they stood below FROM. */
  async #runTriggers(context: StepContext): Promise<void> {
    const triggers = context.state.config.OnBuild ?? [];
    if (triggers.length === 0) return;
    delete context.state.config.OnBuild;
    this.#run.print(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? 's' : ''}\n`);
    for (const trigger of triggers) {
      await runInstruction(context, parseInstruction(trigger));
      delete context.state.config.OnBuild;
    }
  }

  async #begin(from: FromInstruction): Promise<StageState> {
    const { args, platform } = this.#run.options;
    const name = this.#expandGlobal(from.base);
    if (name === '') throw new InvalidParameterError(`base name (${from.base}) should not be blank`);
    const wanted = from.platform === '' ? undefined : parsePlatform(this.#expandGlobal(from.platform));
    args.beginStage();
    this.#run.beginStage();
    const earlier = this.#done.find((stage) => stage.name !== '' && stage.name === name.toLowerCase());
    if (earlier !== undefined) return new StageState(from.name, earlier.platform, earlier.image);
    if (name === 'scratch') return new StageState(from.name, wanted ?? platform, undefined);
    return new StageState(from.name, wanted ?? platform, await this.#image(name, wanted));
  }

  /** From the store where it fits; else pulled. */
  async #image(name: string, wanted: Platform | undefined): Promise<Image> {
    const { imageStore, puller, request } = this.#run.options;
    request.requireImage?.(name);
    const platform = wanted ?? (request.platform === '' ? undefined : this.#run.options.platform);
    const here = request.pull ? undefined : imageStore.tryResolve(name);
    const fits =
      here !== undefined &&
      (platform === undefined || imageMatchesPlatform(platform, configPlatform(here.config)));
    const image = fits
      ? here
      : await puller.pull({
          reference: name,
          ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
          ...authFor(name, request.auth),
          authConfigs: request.auth,
          onProgress: (message) => this.#run.options.onMessage(message),
          signal: this.#run.signal,
        });
    await this.#run.keep(image.diffIds);
    return image;
  }

  /** `COPY --from`: nothing is the context; else a stage by name or number, else an image. */
  async #withSource<T>(from: string, body: (root: SourceRoot) => Promise<T>): Promise<T> {
    if (from === '') return await body({ path: this.#run.options.context, isContext: true });
    const stage = this.#stage(from);
    if (stage !== undefined && stage.image === undefined) {
      const empty = join(this.#run.options.folder, 'empty');
      mkdirSync(empty, { recursive: true });
      return await body({ path: empty, isContext: false });
    }
    const image = stage?.image ?? (await this.#image(from, undefined));
    return await this.#run.withRoot(image.diffIds, false, (path) => body({ path, isContext: false }));
  }

  #stage(from: string): StageState | undefined {
    const named = this.#done.find(({ name }) => name !== '' && name === from.toLowerCase());
    if (named !== undefined || !/^\d+$/.test(from)) return named;
    const number = Number(from);
    if (number < this.#done.length) return this.#done[number];
    const problem = number === this.#done.length ? 'refers to current build stage' : 'index out of bounds';
    throw new InvalidParameterError(`invalid from flag value ${from}: ${problem}`);
  }
}

function upToTarget(stages: readonly Stage[], target: string): readonly Stage[] {
  if (target === '') return stages;
  const named = stages.findIndex(({ from }) => from.name === target.toLowerCase());
  const index = named >= 0 ? named : /^\d+$/.test(target) ? Number(target) : -1;
  if (index < 0 || index >= stages.length) {
    throw new InvalidParameterError(`target stage "${target}" could not be found`);
  }
  return stages.slice(0, index + 1);
}

function authFor(name: string, auth: BuildRun['options']['request']['auth']) {
  const { domain } = parseReference(name);
  const keys = domain === 'docker.io' ? HUB_KEYS : [domain, `https://${domain}`];
  const found = keys.find((key) => auth[key] !== undefined);
  const value = found === undefined ? undefined : auth[found];
  return value === undefined ? {} : { auth: value };
}
