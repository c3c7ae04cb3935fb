/**
 * A stage with all its variables expanded: what each instruction does, the text that the image's history has of it,
 * and the configuration at the end. It depends on the Dockerfile, the arguments and the base's configuration alone, so
 * that everything is known, and judged, before the first step is done.
 */
import { posix } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import type { CopyInstruction, EscapeCharacter, Instruction, RunInstruction } from '../dockerfile/ast.ts';
import { type ExpandOptions, expandWord } from '../dockerfile/expand.ts';
import { parseInstruction } from '../dockerfile/parse.ts';
import { parseRunMount } from '../run/mount-flag.ts';
import { isProxy, type StageArguments } from './arguments.ts';
import { changeConfig } from './config-changes.ts';
import { ConfigState } from './config-state.ts';
import type { CopyStepPlan, PlannedStep, RunStepPlan, StepPlace, WorkdirStepPlan } from './planned-step.ts';
import { insecureOf, networkOf, runCommand } from './run-command.ts';

export interface StagePlan {
  steps: readonly PlannedStep[];
  /** After the last one. */
  state: ConfigState;
}

export interface StagePlanInput {
  instructions: readonly Instruction[];
  /** Line of FROM, for triggers. */
  fromLine: number;
  base: Pick<ImageConfig, 'config' | 'author'> | undefined;
  args: StageArguments;
  escapeChar: EscapeCharacter;
  /** Makes errors tell their place. */
  at<T>(place: StepPlace, body: () => T): T;
}

/** Throws InvalidParameter, through `at`. */
export function planStage(input: StagePlanInput): StagePlan {
  const state = new ConfigState(input.base);
  const planner = new StagePlanner(input, state);
  const steps = [
    ...planner.triggers(),
    ...input.instructions.map((instruction) => planner.plan(instruction, false)),
  ];
  return { steps, state };
}

class StagePlanner {
  readonly #input: StagePlanInput;
  readonly #state: ConfigState;

  constructor(input: StagePlanInput, state: ConfigState) {
    this.#input = input;
    this.#state = state;
  }

  /** Triggers of the base image are done as if they stood below FROM; the image that comes out has them no more. */
  triggers(): PlannedStep[] {
    const triggers = this.#state.config.OnBuild ?? [];
    delete this.#state.config.OnBuild;
    return triggers.map((text) => {
      const place = {
        line: this.#input.fromLine,
        endLine: this.#input.fromLine,
        source: text,
        trigger: true,
      };
      const instruction = this.#input.at(place, () => parseInstruction(text, this.#input.escapeChar));
      return this.plan(instruction, true);
    });
  }

  plan(instruction: Instruction, trigger: boolean): PlannedStep {
    const { line, endLine, source } = instruction;
    const place = trigger
      ? { line: this.#input.fromLine, endLine: this.#input.fromLine, source, trigger }
      : { line, endLine, source, trigger };
    const step = this.#input.at(place, () => this.#step(instruction, place));
    return { ...step, author: this.#state.author };
  }

  #expansion(): ExpandOptions {
    const { args, escapeChar } = this.#input;
    return {
      escapeChar,
      lookup: (name) => args.override(name) ?? this.#state.variable(name) ?? args.lookup(name),
    };
  }

  #step(instruction: Instruction, place: StepPlace): PlannedStep {
    const { author } = this.#state;
    switch (instruction.kind) {
      case 'run':
        return this.#run(instruction, place);
      case 'copy':
      case 'add':
        return this.#copy(instruction, place);
      case 'workdir':
        return this.#workdir(instruction.value, place);
      case 'arg':
        return { kind: 'config', place, author, history: this.#declare(instruction.args) };
      case 'from':
        throw new InvalidParameterError('FROM cannot stand inside of a stage');
      default: {
        const { step, apply } = changeConfig(this.#state, instruction, this.#expansion());
        if (instruction.kind === 'env') {
          const options = this.#expansion();
          for (const { name } of instruction.pairs) this.#input.args.setByEnv(expandWord(name, options));
        }
        apply(this.#state);
        return { kind: 'config', place, author, history: step };
      }
    }
  }

  #declare(args: readonly { name: string; value?: string }[]): string {
    const shown = args.map(({ name, value }) => {
      const options = this.#expansion();
      const known = this.#input.args.declare(
        name,
        value === undefined ? undefined : expandWord(value, options),
      );
      return known === undefined || isProxy(name) ? name : `${name}=${known}`;
    });
    return `ARG ${shown.join(' ')}`;
  }

  #shadowed(): ReadonlySet<string> {
    const { args } = this.#input;
    const names = this.#state.env.map(nameOf);
    return new Set(names.filter((name) => args.override(name) === undefined));
  }

  #run(instruction: RunInstruction, place: StepPlace): RunStepPlan {
    const { config, env, author } = this.#state;
    const options = this.#expansion();
    const { args, script } = runCommand(this.#state, instruction);
    const shadowed = this.#shadowed();
    const declared = this.#input.args.declared(shadowed);
    const workingDir = config.WorkingDir || '/';
    const expand = (text: string): string => expandWord(text, options);
    const shown = this.#input.args.shown(options.lookup);
    const visible = shown.length === 0 ? '' : `|${shown.length} ${shown.join(' ')} `;
    // In histories a program stands behind the shell, as BuildKit has it; it is executed by itself.
    const text = (script === undefined ? args : [...this.#state.shell, ...args]).join(' ');
    return {
      kind: 'run',
      place,
      author,
      history: `RUN ${visible}${text} # buildkit`,
      args,
      ...(script === undefined ? {} : { script }),
      env: [...env.filter((entry) => shadowed.has(nameOf(entry))), ...declared],
      proxies: this.#input.args.proxies(shadowed),
      cwd: workingDir,
      user: config.User ?? '',
      mounts: instruction.mounts.map((mount) => parseRunMount(mount, { expand, workingDir })),
      network: networkOf(expand(instruction.network)),
      insecure: insecureOf(expand(instruction.security)),
    };
  }

  #copy(instruction: CopyInstruction, place: StepPlace): CopyStepPlan {
    const options = this.#expansion();
    const expand = (text: string): string => expandWord(text, options);
    const name = instruction.kind === 'copy' ? 'COPY' : 'ADD';
    const step: Omit<CopyStepPlan, 'history'> = {
      kind: 'copy',
      place,
      author: this.#state.author,
      instruction: name,
      from: expand(instruction.from),
      sources: instruction.sources.map(expand),
      inline: instruction.inline.map((file) => ({
        name: file.name,
        content: file.expand ? expandText(file.content, options) : file.content,
      })),
      destination: expand(instruction.destination),
      workingDir: this.#state.config.WorkingDir || '/',
      chown: expand(instruction.chown),
      chmod: expand(instruction.chmod),
      link: instruction.link,
      parents: instruction.parents,
      excludes: instruction.excludes,
      checksum: expand(instruction.checksum),
      keepGitDir: instruction.keepGitDir ?? false,
      unpack: instruction.unpack,
    };
    if (step.sources.length + step.inline.length === 0) {
      throw new InvalidParameterError(`${name} requires at least one source`);
    }
    return { ...step, history: `${copyText(step)} # buildkit` };
  }

  #workdir(value: string, place: StepPlace): WorkdirStepPlan {
    const requested = expandWord(value, this.#expansion());
    const path = posix.resolve('/', this.#state.config.WorkingDir ?? '', requested);
    this.#state.config.WorkingDir = path;
    const user = this.#state.config.User ?? '';
    return { kind: 'workdir', place, author: this.#state.author, history: `WORKDIR ${path}`, path, user };
  }
}

function nameOf(entry: string): string {
  return entry.split('=', 1)[0] ?? '';
}

/** Of the flags BuildKit's histories have those that say what the files are like. */
function copyText(step: Omit<CopyStepPlan, 'history'>): string {
  const words = [
    step.instruction,
    ...(step.parents ? ['--parents'] : []),
    ...(step.chown === '' ? [] : [`--chown=${step.chown}`]),
    ...(step.chmod === '' ? [] : [`--chmod=${step.chmod}`]),
    ...step.sources,
    ...step.inline.map(({ name }) => `<<${name}`),
    step.destination,
  ];
  return words.join(' ');
}

/** Variables in a heredoc's content: quotes mean nothing there, and the backslash escapes. */
function expandText(text: string, options: ExpandOptions): string {
  return expandWord(text, { ...options, escapeChar: '\\', literalQuotes: true });
}
