/**
 * The linter beside a build: it learns of base images as the stages find them, and of the context's ignore file once
 * the context is there, so that nothing waits for it. Where findings fail the build, or nothing but them is asked for, it
 * goes ahead of all steps.
 */
import { EngineError, InvalidParameterError } from '../../base/errors.ts';
import { configPlatform, type ImageConfig } from '../../image/image-config.ts';
import { formatPlatform, type Platform } from '../../image/platform.ts';
import type { Instruction } from '../dockerfile/ast.ts';
import { DockerfileLint, type LintBase } from '../dockerfile/lint/dockerfile-lint.ts';
import { parseInstruction } from '../dockerfile/parse.ts';
import type { BuildWarning } from '../progress.ts';
import type { SolveRequest } from '../solve-request.ts';
import type { GraphStage, StageGraph } from './stage-graph.ts';

export interface BuildLintInput {
  request: Pick<SolveRequest, 'buildArgs' | 'namedContexts'>;
  file: { name: string; content: string };
  /** Of the first platform: the others would find the same. */
  graph: StageGraph;
  platform: Platform;
  warn: (warning: BuildWarning) => void;
  /** Patterns of the context's ignore file. */
  ignored: () => Promise<readonly string[]>;
}

/** Configuration of an image; undefined where it is not known. Throws what the build would. */
export type ImageLookup = (reference: string, platform: Platform) => Promise<ImageConfig | undefined>;

export class BuildLint {
  readonly #input: BuildLintInput;
  readonly #warnings: BuildWarning[] = [];
  readonly dockerfile: DockerfileLint;
  #copiesDone = false;

  /** Throws InvalidParameter for `# check=` that cannot be read. What text and arguments tell is found at once. */
  constructor(input: BuildLintInput) {
    const { request, file, graph } = input;
    this.#input = input;
    this.dockerfile = new DockerfileLint({
      dockerfile: graph.dockerfile,
      file,
      given: request.buildArgs,
      platformArgs: graph.predefined,
      warn: (warning) => {
        this.#warnings.push(warning);
        input.warn(warning);
      },
    });
    this.dockerfile.text();
    this.dockerfile.from();
  }

  get warnings(): readonly BuildWarning[] {
    return this.#warnings;
  }

  /** A stage of the first platform that is about to run; `base` is the configuration that it begins with. */
  stage(
    stage: GraphStage,
    base: Pick<ImageConfig, 'config'> | undefined,
    image: ImageConfig | undefined,
  ): void {
    this.dockerfile.stage(stage.index, this.#base(stage, base, image));
  }

  /** Stages in the order of the file, before any of them runs. */
  async ahead(stages: readonly GraphStage[], image: ImageLookup): Promise<void> {
    for (const stage of stages) {
      const reference = this.#reference(stage);
      const config =
        reference === undefined ? undefined : await image(reference, stage.platform ?? this.#input.platform);
      const isKnown = config !== undefined || stage.base.kind === 'scratch';
      const base = isKnown ? { config: config?.config ?? {} } : undefined;
      this.dockerfile.stage(stage.index, this.#base(stage, base, config));
    }
    await this.copies();
  }

  /** What the stages up to now copy from the context. Asks for the ignore file only where they do. */
  async copies(): Promise<void> {
    if (this.#copiesDone || !this.dockerfile.usesContext) return;
    this.#copiesDone = true;
    this.dockerfile.copies(await this.#input.ignored());
  }

  #reference({ base }: GraphStage): string | undefined {
    if (base.kind === 'image') return base.reference;
    if (base.kind !== 'context') return undefined;
    const spec = this.#input.request.namedContexts[base.name];
    return spec?.kind === 'image' ? spec.reference : undefined;
  }

  #base(
    stage: GraphStage,
    base: Pick<ImageConfig, 'config'> | undefined,
    image: ImageConfig | undefined,
  ): LintBase {
    const parent = this.#parent(stage);
    if (parent !== undefined) {
      const { instructions = [] } = this.#input.graph.dockerfile.stages[parent] ?? {};
      const texts = instructions.flatMap((one) => (one.kind === 'onbuild' ? [one.trigger] : []));
      return { kind: 'stage', index: parent, triggers: this.#triggers(texts) };
    }
    if (base === undefined) return { kind: 'unknown' };
    const { Env, Shell, OnBuild } = base.config;
    const wanted = stage.platform ?? this.#input.platform;
    return {
      kind: 'image',
      env: Env ?? [],
      hasShell: (Shell ?? []).length > 0,
      triggers: this.#triggers(OnBuild ?? []),
      ...mismatch(this.#reference(stage) ?? '', wanted, image),
    };
  }

  #parent({ base, index }: GraphStage): number | undefined {
    return base.kind === 'stage' && base.index < index ? base.index : undefined;
  }

  /** Those that can be read: the build refuses the others. */
  #triggers(texts: readonly string[]): Instruction[] {
    return texts.flatMap((text) => {
      try {
        return [parseInstruction(text, this.#input.graph.escapeChar)];
      } catch (error) {
        if (error instanceof InvalidParameterError) return [];
        throw error;
      }
    });
  }
}

function mismatch(
  name: string,
  wanted: Platform,
  image: ImageConfig | undefined,
): Pick<Extract<LintBase, { kind: 'image' }>, 'mismatch'> {
  if (image === undefined) return {};
  const actual = configPlatform(image);
  if (actual.os === wanted.os && actual.architecture === wanted.architecture) return {};
  return { mismatch: { name, expected: formatPlatform(wanted), actual: formatPlatform(actual) } };
}

/** An error of the build, and not of the engine or the client's connection. */
export function isBuildProblem(error: unknown): error is EngineError {
  return error instanceof EngineError && error.kind !== 'Internal' && error.kind !== 'Unavailable';
}
