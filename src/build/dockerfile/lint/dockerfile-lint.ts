/**
 * The linter over a whole Dockerfile, in the phases in which what it needs is known: the text, then the arguments and the
 * platform, then stage by stage the base images, at last the context's ignore file.
 */

import { InvalidParameterError } from '../../../base/errors.ts';
import type { BuildWarning } from '../../progress.ts';
import type { Dockerfile, Instruction } from '../ast.ts';
import { checkOptions, linesOf } from '../directives.ts';
import { lintCopies } from './copy-rules.ts';
import {
  type GivenArguments,
  type GlobalVariables,
  globalVariables,
  lintDefaults,
  lintFrom,
} from './from-rules.ts';
import { Linter, type LintWarning, parseLintOptions } from './linter.ts';
import { LINT_RULES } from './rules.ts';
import { StageLint, type StageLintState } from './stage-lint.ts';
import { lintInstruction, lintText } from './text-rules.ts';
import { TrackedVariables } from './tracked-variables.ts';

/** The path of programs in images that say none. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface LintInput {
  dockerfile: Dockerfile;
  /** For the excerpts of warnings. */
  file: { name: string; content: string };
  given: GivenArguments;
  /** TARGETARCH and the others, without what was given for them. */
  platformArgs: Readonly<Record<string, string>>;
  warn: (warning: BuildWarning) => void;
}

/** What a stage begins with. */
export type LintBase =
  /** An image that nobody knows yet. */
  | { kind: 'unknown' }
  /** `triggers`: ONBUILD of that stage. */
  | { kind: 'stage'; index: number; triggers: readonly Instruction[] }
  | {
      kind: 'image';
      /** `NAME=value` each. */
      env: readonly string[];
      hasShell: boolean;
      triggers: readonly Instruction[];
      /** Where it came for another platform than was wanted. */
      mismatch?: { name: string; expected: string; actual: string };
    };

/** What is found in instructions in front of one that cannot be read. */
export function lintSeen(seen: readonly Instruction[], file: LintInput['file']): BuildWarning[] {
  const warnings: BuildWarning[] = [];
  const report = (warning: LintWarning): void => void warnings.push(buildWarning(warning, file));
  try {
    const linter = new Linter(parseLintOptions(checkOptions(linesOf(file.content))), report);
    for (const instruction of seen) lintInstruction(instruction, linter);
  } catch (error) {
    // The other error is the one to tell of.
    if (!(error instanceof InvalidParameterError)) throw error;
  }
  return warnings;
}

function buildWarning({ rule, message, place }: LintWarning, file: LintInput['file']): BuildWarning {
  const { description, url } = LINT_RULES[rule];
  return {
    rule,
    message,
    description,
    ...(url === '' ? {} : { url }),
    source: { filename: file.name, content: file.content },
    range: { start: { line: place.line }, end: { line: place.endLine } },
  };
}

export class DockerfileLint {
  readonly #input: LintInput;
  readonly #linter: Linter;
  readonly #globals: GlobalVariables | undefined;
  readonly #stages = new Map<number, StageLint>();
  /** Arguments in FROM lines. */
  readonly #used = new Map<number, ReadonlySet<string>>();

  /** Throws InvalidParameter for `# check=` that cannot be read. */
  constructor(input: LintInput) {
    const { dockerfile, given, platformArgs } = input;
    this.#input = input;
    const options = parseLintOptions(given['BUILDKIT_DOCKERFILE_CHECK'] ?? dockerfile.checkOptions);
    this.#linter = new Linter(options, (warning) => input.warn(buildWarning(warning, input.file)));
    this.#globals = globalVariables(dockerfile, platformArgs, given);
  }

  /** Findings are to fail the build, before anything of it is done. */
  get failsBuild(): boolean {
    return this.#linter.failsBuild;
  }

  /** Throws InvalidParameter where there are findings that fail the build. */
  check(): void {
    this.#linter.check();
  }

  /** All that the text tells. */
  text(): void {
    lintText(this.#input.dockerfile, this.#linter);
  }

  /** FROM lines, with the arguments in front of them. */
  from(): void {
    const { dockerfile, platformArgs, given } = this.#input;
    // Only platforms can be given here: the question is whether the file builds without arguments.
    const platforms = Object.fromEntries(
      Object.entries(platformArgs).map(([name, value]) => [name, given[name] ?? value]),
    );
    lintDefaults(dockerfile, globalVariables(dockerfile, platforms, {}), this.#linter);
    if (this.#globals === undefined) return;
    for (const [index, { from }] of dockerfile.stages.entries()) {
      this.#used.set(index, lintFrom(from, this.#globals, this.#linter));
    }
  }

  /** One stage; the stage that it builds on must have been before. Does nothing the second time. */
  stage(index: number, base: LintBase): void {
    const { dockerfile, given } = this.#input;
    const stage = dockerfile.stages[index];
    if (stage === undefined || this.#globals === undefined || this.#stages.has(index)) return;
    if (base.kind === 'image' && base.mismatch !== undefined) {
      const { name, expected, actual } = base.mismatch;
      const message = `Base image ${name} was pulled with platform ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)} for current build`;
      this.#linter.run('InvalidBaseImagePlatform', stage.from, message);
    }
    const state = this.#state(base);
    const lint = new StageLint({ linter: this.#linter, globals: this.#globals, given, state });
    this.#stages.set(index, lint);
    if (base.kind !== 'unknown') {
      for (const trigger of base.triggers) lint.instruction(trigger, stage.from);
    }
    for (const instruction of stage.instructions) lint.instruction(instruction);
  }

  #state(base: LintBase): StageLintState {
    const { escapeChar } = this.#input.dockerfile;
    const parent = base.kind === 'stage' ? this.#stages.get(base.index)?.state : undefined;
    if (parent !== undefined) {
      return { ...parent, variables: parent.variables.copy(), declared: new Set(parent.declared) };
    }
    const env = base.kind === 'image' ? base.env : [];
    const variables = new TrackedVariables([['PATH', DEFAULT_PATH]], escapeChar);
    for (const entry of env) {
      const [name = '', value = ''] = entry.split(/=(.*)/s, 2);
      variables.set(name, value);
    }
    return {
      variables,
      variablesKnown: base.kind === 'image',
      declared: new Set(),
      hasWorkdir: false,
      hasShell: base.kind === 'image' && base.hasShell,
    };
  }

  /** Whether a stage that was looked at takes files from the context. */
  get usesContext(): boolean {
    return [...this.#stages.values()].some(({ copies }) => copies.length > 0);
  }

  /** What the stages that were looked at copy, against the patterns of the context's ignore file. */
  copies(patterns: readonly string[]): void {
    for (const { copies } of this.#stages.values()) lintCopies(copies, patterns);
  }

  /** For an outline of the build: undefined for a stage that was not looked at. */
  noted(index: number): { stage: StageLint; used: ReadonlySet<string> } | undefined {
    const stage = this.#stages.get(index);
    return stage === undefined ? undefined : { stage, used: this.#used.get(index) ?? new Set() };
  }

  get globals(): GlobalVariables | undefined {
    return this.#globals;
  }
}
