/**
 * The stages of a Dockerfile as a graph: what each needs by its text (FROM, `--from`, `RUN --mount=from=`), which of
 * them a target needs, and that none needs itself.
 */
import { EngineError, InvalidParameterError } from '../../base/errors.ts';
import { type Platform, parsePlatform } from '../../image/platform.ts';
import type { Dockerfile, EscapeCharacter, Instruction, Stage } from '../dockerfile/ast.ts';
import { expandWord } from '../dockerfile/expand.ts';
import { didYouMean } from '../dockerfile/suggest.ts';
import { mountFrom } from '../run/mount-flag.ts';
import { type GivenArguments, GlobalArguments } from './arguments.ts';
import { BuildError } from './build-error.ts';
import { platformArgs } from './platform-args.ts';

/** Where a stage begins, or what `--from` means. */
export type StageSource =
  | { kind: 'scratch' }
  | { kind: 'stage'; index: number }
  /** A named context; beats stages and images. */
  | { kind: 'context'; name: string }
  | { kind: 'image'; reference: string };

export interface GraphStage {
  index: number;
  /** `builder`, or `stage-2` where it has none. */
  title: string;
  stage: Stage;
  base: StageSource;
  /** What FROM asks for; undefined: the target's. */
  platform: Platform | undefined;
}

export interface NamedContext {
  /** As the request has it. */
  name: string;
  /** It stands for this stage of the same Dockerfile. */
  stage?: string;
}

export interface GraphOptions {
  dockerfile: Dockerfile;
  target: string;
  buildPlatform: Platform;
  targetPlatform: Platform;
  given: GivenArguments;
  /** What the request has in place of a name of FROM, `--from` or `from=`. */
  namedContext(name: string, platform: Platform): NamedContext | undefined;
}

/** For one target platform. Throws InvalidParameter: unknown target; BuildError with its line: bad FROM or ARG, cycle. */
export class StageGraph {
  readonly args: GlobalArguments;
  /** Arguments that every build has, before those that were given. */
  readonly predefined: Readonly<Record<string, string>>;
  readonly stages: readonly GraphStage[];
  readonly target: GraphStage;
  readonly #options: GraphOptions;
  /** Where a name stands last: of stages with the same name that one counts, for FROM the last above it. */
  readonly #names = new Map<string, number>();

  constructor(options: GraphOptions) {
    this.#options = options;
    const { dockerfile, buildPlatform, targetPlatform, given } = options;
    if (dockerfile.stages.length === 0) throw new InvalidParameterError('the Dockerfile has no build stage');
    this.predefined = {
      ...platformArgs(buildPlatform, targetPlatform),
      TARGETSTAGE: options.target || dockerfile.stages.at(-1)?.from.name || 'default',
    };
    this.args = new GlobalArguments(given, this.predefined);
    for (const instruction of dockerfile.globalArgs) {
      this.#at(instruction, () => {
        for (const { name, value } of instruction.args) {
          this.args.declare(name, value === undefined ? undefined : this.#expand(value));
        }
      });
    }
    this.stages = dockerfile.stages.map((stage, index) => {
      const resolved = this.#at(stage.from, () => this.#stage(stage, index));
      if (stage.from.name !== '') this.#names.set(stage.from.name, index);
      return resolved;
    });
    this.target = this.#target();
    this.#refuseCycles();
  }

  get dockerfile(): Dockerfile {
    return this.#options.dockerfile;
  }

  get escapeChar(): EscapeCharacter {
    return this.#options.dockerfile.escapeChar;
  }

  /** What fails for this instruction tells its place. */
  #at<T>({ line, endLine }: Pick<Instruction, 'line' | 'endLine'>, body: () => T): T {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      const { name, content } = this.#options.dockerfile.file;
      const range = { start: { line }, end: { line: endLine } };
      throw new BuildError(error, { source: { filename: name, content, range } });
    }
  }

  #expand(text: string): string {
    return expandWord(text, { escapeChar: this.escapeChar, lookup: (name) => this.args.lookup(name) });
  }

  #stage(stage: Stage, index: number): GraphStage {
    const { from } = stage;
    const base = this.#expand(from.base);
    if (base === '') {
      throw new InvalidParameterError(`base name (${from.base}) should not be blank`);
    }
    const platform = from.platform === '' ? '' : this.#expand(from.platform);
    if (from.platform !== '' && platform === '') {
      throw new InvalidParameterError(`empty platform value from expression ${from.platform}`);
    }
    return {
      index,
      title: from.name === '' ? `stage-${index}` : from.name,
      stage,
      base: this.#base(base, platform === '' ? this.#options.targetPlatform : parsePlatform(platform)),
      platform: platform === '' ? undefined : parsePlatform(platform),
    };
  }

  /** FROM knows the stages above it. */
  #base(name: string, platform: Platform): StageSource {
    const context = this.#context(name, platform);
    if (context !== undefined) return context;
    const found = this.#names.get(name.toLowerCase());
    if (found !== undefined) return { kind: 'stage', index: found };
    return name === 'scratch' ? { kind: 'scratch' } : { kind: 'image', reference: name };
  }

  /**
   * What `--from` or `from=` means, variables expanded. `before`: only stages below that number count (triggers of base
   * images, which the graph does not know).
   */
  source(from: string, current: number, before = Number.POSITIVE_INFINITY): StageSource {
    const context = this.#context(from, this.#options.targetPlatform);
    if (context !== undefined) return context;
    const { stages } = this.#options.dockerfile;
    const index = this.#names.get(from.toLowerCase()) ?? (/^\d+$/.test(from) ? Number(from) : -1);
    if (index < 0) return from === 'scratch' ? { kind: 'scratch' } : { kind: 'image', reference: from };
    if (index >= stages.length) {
      throw new InvalidParameterError(`invalid from flag value ${from}: index out of bounds`);
    }
    if (index === current) {
      throw new InvalidParameterError(`invalid from flag value ${from}: refers to current build stage`);
    }
    if (index >= before) {
      throw new InvalidParameterError(
        `invalid from flag value ${from}: a build trigger of a base image can only use stages above its own`,
      );
    }
    return { kind: 'stage', index };
  }

  #context(name: string, platform: Platform): StageSource | undefined {
    const found = this.#options.namedContext(name, platform);
    if (found?.stage === undefined)
      return found === undefined ? undefined : { kind: 'context', name: found.name };
    const wanted = found.stage.toLowerCase();
    const index = this.#options.dockerfile.stages.findLastIndex(({ from }) => from.name === wanted);
    if (index < 0) {
      throw new InvalidParameterError(
        `target stage "${found.stage}" of the build context ${name} could not be found`,
      );
    }
    return { kind: 'stage', index };
  }

  /** Texts after `from=` and `--from=` of an instruction; variables are not expanded, as nothing sets them there. */
  #dependencies({ base, stage, index }: GraphStage): number[] {
    const sources = [
      base,
      ...stage.instructions.flatMap(fromNames).map((name) => this.#tryName(name, index)),
    ];
    return [...new Set(sources.flatMap((source) => (source?.kind === 'stage' ? [source.index] : [])))];
  }

  /** What cannot be resolved is said when its instruction is done, with the line. */
  #tryName(name: string, index: number): StageSource | undefined {
    try {
      return this.source(name, index);
    } catch (error) {
      if (error instanceof InvalidParameterError) return undefined;
      throw error;
    }
  }

  #target(): GraphStage {
    const { target } = this.#options;
    const last = this.stages.at(-1);
    if (last === undefined) throw new InvalidParameterError('the Dockerfile has no build stage');
    if (target === '') return last;
    const named = this.stages.findLast(({ stage }) => stage.from.name === target.toLowerCase());
    const numbered = /^\d+$/.test(target) ? this.stages[Number(target)] : undefined;
    const found = named ?? numbered;
    if (found === undefined) {
      throw new InvalidParameterError(
        `target stage "${target}" could not be found${didYouMean(target, this.#names.keys())}`,
      );
    }
    return found;
  }

  /** The stages that `from` needs, itself included, in the order of the Dockerfile. */
  needed(from: GraphStage = this.target): GraphStage[] {
    const seen = new Set<number>();
    const open = [from.index];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      const stage = this.stages[index];
      if (stage === undefined || seen.has(index)) continue;
      seen.add(index);
      open.push(...this.#dependencies(stage));
    }
    return this.stages.filter(({ index }) => seen.has(index));
  }

  /** Depth first without recursion: the Dockerfile decides how deep it goes. */
  #refuseCycles(): void {
    const done = new Set<number>();
    for (const { index: start } of this.stages) {
      const path: { index: number; rest: number[] }[] = [];
      const onPath = new Set<number>();
      const enter = (index: number): void => {
        if (onPath.has(index)) {
          const at = path.findIndex((one) => one.index === index);
          this.#refuseCycle([...path.slice(at).map((one) => one.index), index]);
        }
        const stage = this.stages[index];
        if (stage === undefined || done.has(index)) return;
        onPath.add(index);
        path.push({ index, rest: this.#dependencies(stage) });
      };
      enter(start);
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const next = top.rest.pop();
        if (next !== undefined) enter(next);
        else {
          done.add(top.index);
          onPath.delete(top.index);
          path.pop();
        }
      }
    }
  }

  /** The place is where the first of them begins. */
  #refuseCycle(indexes: readonly number[]): never {
    const names = indexes.map((index) => this.stages[index]?.title ?? String(index));
    const error = new InvalidParameterError(
      `circular dependency detected on stage: ${names[0]} (${names.join(' needs ')})`,
    );
    const first = this.stages[indexes[0] ?? 0];
    if (first === undefined) throw error;
    return this.#at(first.stage.from, () => {
      throw error;
    });
  }
}

function fromNames(instruction: Instruction): string[] {
  if (instruction.kind === 'copy' || instruction.kind === 'add') {
    return instruction.from === '' ? [] : [instruction.from];
  }
  if (instruction.kind !== 'run') return [];
  return instruction.mounts.map(mountFrom).filter((name) => name !== '');
}
