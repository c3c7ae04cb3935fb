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
import { heredocContent, parseHeredocWord } from '../dockerfile/heredoc.ts';
import { parseInstruction } from '../dockerfile/parse.ts';
import { parseRunMount, type RunMountSpec } from '../run/mount-flag.ts';
import { isProxy, type StageArguments } from './arguments.ts';
import { argumentVector, changeConfig } from './config-changes.ts';
import { ConfigState } from './config-state.ts';

export interface StepPlace {
  line: number;
  endLine: number;
  source: string;
  /** A trigger of the base image: the line is that of FROM. */
  trigger: boolean;
}

interface Common {
  place: StepPlace;
  /** `created_by`; undefined: the history does not mention it. */
  history: string | undefined;
  /** As the history has it from here on. */
  author: string;
}

export interface ConfigStep extends Common {
  kind: 'config';
}

export interface RunStepPlan extends Common {
  kind: 'run';
  args: string[];
  script?: { name: string; content: string };
  /** The image's variables and the declared arguments. */
  env: string[];
  /** Reach the program, and are no part of what the step is. */
  proxies: string[];
  cwd: string;
  user: string;
  mounts: RunMountSpec[];
  network: string;
  insecure: boolean;
}

export interface CopyStepPlan extends Common {
  kind: 'copy';
  instruction: 'COPY' | 'ADD';
  from: string;
  sources: string[];
  inline: { name: string; content: string }[];
  destination: string;
  workingDir: string;
  chown: string;
  chmod: string;
  link: boolean;
  parents: boolean;
  excludes: string[];
  checksum: string;
  keepGitDir: boolean;
  /** Undefined: as the instruction does by itself. */
  unpack: boolean | undefined;
}

export interface WorkdirStepPlan extends Common {
  kind: 'workdir';
  path: string;
  /** USER at that place, whose the folder is. */
  user: string;
}

export type PlannedStep = ConfigStep | RunStepPlan | CopyStepPlan | WorkdirStepPlan;

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

function networkOf(text: string): string {
  if (['', 'default', 'none', 'host'].includes(text)) return text === 'default' ? '' : text;
  throw new InvalidParameterError(
    `unsupported network mode ${JSON.stringify(text)} of RUN --network: expected default, none or host`,
  );
}

function insecureOf(text: string): boolean {
  if (['', 'sandbox', 'insecure'].includes(text)) return text === 'insecure';
  throw new InvalidParameterError(
    `unsupported security mode ${JSON.stringify(text)} of RUN --security: expected sandbox or insecure`,
  );
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

/**
 * A heredoc alone is a script for the shell, or with `#!` a program; behind a command it is what the shell makes of
 * it.
 */
function runCommand(
  state: ConfigState,
  { command, heredocs }: RunInstruction,
): { args: string[]; script?: { name: string; content: string } } {
  const [text = ''] = command.words;
  const [first] = heredocs;
  if (command.form === 'exec' || first === undefined) {
    const args = argumentVector(state, command);
    if (args.length === 0) throw new InvalidParameterError('RUN has no command');
    return { args };
  }
  if (heredocs.length === 1 && parseHeredocWord(text) !== undefined) {
    const content = heredocContent(first);
    if (!content.startsWith('#!')) return { args: [...state.shell, content] };
    return { args: [`/dev/pipes/${first.name}`], script: { name: first.name, content } };
  }
  const bodies = heredocs.map(({ content, name }) => `\n${content}${name}`).join('');
  return { args: [...state.shell, `${text}${bodies}`] };
}

/** The names that ARGs declare, for the warning about given ones that nobody takes. */
export function declaredNames(instructions: readonly Instruction[]): string[] {
  return instructions.flatMap((one) => (one.kind === 'arg' ? one.args.map(({ name }) => name) : []));
}
