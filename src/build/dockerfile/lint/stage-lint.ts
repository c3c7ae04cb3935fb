/**
 * Checks of one stage's instructions, in order: they need the variables that its base image and its arguments set. On
 * the way it is noted what an outline of the build tells: arguments, secrets, agents.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import { mountFields } from '../../run/mount-flag.ts';
import { parseGitUrl } from '../../source/git-url.ts';
import type { ArgInstruction, CopyInstruction, Instruction, RunInstruction } from '../ast.ts';
import { nearestWord } from '../suggest.ts';
import { type GivenArguments, type GlobalVariables, givenValue, type KnownArgument } from './from-rules.ts';
import type { Linter, LintPlace } from './linter.ts';
import { lintPort } from './port-rules.ts';
import type { TrackedVariables } from './tracked-variables.ts';

/** What a stage leaves to those that build on it. */
export interface StageLintState {
  variables: TrackedVariables;
  /** False where the base image is not known: then no variable can be said to be undefined. */
  variablesKnown: boolean;
  /** Declared by ARG, with a value or without. */
  declared: Set<string>;
  /** WORKDIR stands in the Dockerfile. */
  hasWorkdir: boolean;
  /** SHELL, here or of the base image. */
  hasShell: boolean;
}

/** A secret or an agent that a step asks for. */
export interface AskedMount extends LintPlace {
  id: string;
  required: boolean;
}

/** COPY or ADD of files of the context, for the checks that need its ignore file. */
export interface ContextCopy extends LintPlace {
  instruction: 'Copy' | 'Add';
  source: string;
  linter: Linter;
}

export interface StageLintInput {
  linter: Linter;
  globals: GlobalVariables;
  given: GivenArguments;
  state: StageLintState;
}

/** Arguments that mean something to BuildKit, and are variables of no step. */
const SILENT: ReadonlySet<string> = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

export class StageLint {
  readonly copies: ContextCopy[] = [];
  readonly arguments = new Map<string, KnownArgument>();
  readonly usedArguments = new Set<string>();
  readonly secrets = new Map<string, AskedMount>();
  readonly agents = new Map<string, AskedMount>();
  readonly state: StageLintState;
  readonly #input: StageLintInput;
  /** Of these instructions the last one counts. */
  readonly #last = new Map<string, Instruction>();

  constructor(input: StageLintInput) {
    this.#input = input;
    this.state = input.state;
  }

  /** `place`: that of FROM, for a trigger of the base image. */
  instruction(instruction: Instruction, place: LintPlace = instruction): void {
    const linter = this.#input.linter.within(instruction.comments);
    switch (instruction.kind) {
      case 'arg':
        this.#arg(instruction, place, linter);
        return;
      case 'env':
      case 'label':
        this.#pairs(instruction, place, linter);
        return;
      case 'run':
        this.#run(instruction, place, linter);
        return;
      case 'copy':
      case 'add':
        this.#copy(instruction, place, linter);
        return;
      case 'workdir':
        this.#workdir(instruction.value, place, linter);
        return;
      case 'user':
      case 'stopsignal':
        this.#use([instruction.value], place, linter);
        return;
      case 'volume':
        this.#use(instruction.values, place, linter);
        return;
      case 'expose':
        for (const value of instruction.values) {
          for (const port of this.state.variables.words(value)) lintPort(port, place, linter);
        }
        return;
      case 'shell':
        this.state.hasShell = true;
        return;
      case 'cmd':
      case 'entrypoint':
        this.#once(instruction, linter);
        if (instruction.command.form === 'shell' && !this.state.hasShell) {
          const message = `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`;
          linter.run('JSONArgsRecommended', place, message);
        }
        return;
      case 'healthcheck':
        this.#once(instruction, linter);
    }
  }

  /** What the texts come to; undefined variables are found. */
  #use(
    texts: readonly string[],
    place: LintPlace,
    linter: Linter,
    literalQuotes = false,
  ): (string | undefined)[] {
    return texts.map((text) => {
      const expanded = this.state.variables.expand(text, { literalQuotes });
      for (const name of expanded.missing) this.#undefined(name, place, linter);
      return expanded.text;
    });
  }

  #undefined(name: string, place: LintPlace, linter: Linter): void {
    const { variables, variablesKnown, declared } = this.state;
    if (!variablesKnown || declared.has(name) || SILENT.has(name)) return;
    const near = nearestWord(name, variables.names);
    const hint = near === undefined ? '' : ` (did you mean $${near}?)`;
    linter.run('UndefinedVar', place, `Usage of undefined variable '$${name}'${hint}`);
  }

  /** The earlier one is what has no effect. */
  #once(instruction: Instruction, linter: Linter): void {
    const earlier = this.#last.get(instruction.kind);
    this.#last.set(instruction.kind, instruction);
    if (earlier === undefined) return;
    linter.run(
      'MultipleInstructionsDisallowed',
      earlier,
      `Multiple ${instruction.keyword} instructions should not be used in the same stage because only the last one will be used`,
    );
  }

  #arg({ args }: ArgInstruction, place: LintPlace, linter: Linter): void {
    const { globals, given } = this.#input;
    for (const { name, value, description } of args) {
      lintSecret('ARG', name, place, linter);
      const own = givenValue(given, name);
      const inherited = own === undefined && value === undefined ? globals.variables.get(name) : undefined;
      const expanded = own === undefined && value !== undefined ? this.#use([value], place, linter) : [];
      const result = own ?? expanded[0] ?? inherited;
      if (result !== undefined && !SILENT.has(name)) this.state.variables.set(name, result);
      if (inherited === undefined) {
        const { line, endLine } = place;
        const known = { name, value: result ?? '', description, needs: new Set<string>(), line, endLine };
        this.arguments.set(name, known);
      }
      this.usedArguments.add(name);
      this.state.declared.add(name);
    }
  }

  #pairs(
    instruction: Extract<Instruction, { kind: 'env' | 'label' }>,
    place: LintPlace,
    linter: Linter,
  ): void {
    const { kind, keyword, legacy } = instruction;
    const pairs = instruction.pairs.map(({ name, value }) => this.#use([name, value], place, linter));
    for (const [name, value] of pairs) {
      if (legacy) {
        const message = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
        linter.run('LegacyKeyValueFormat', place, message);
      }
      if (kind === 'label' || name === undefined) continue;
      lintSecret('ENV', name, place, linter);
      this.state.variables.set(name, value ?? '');
    }
  }

  #run({ mounts }: RunInstruction, place: LintPlace, linter: Linter): void {
    for (const mount of mounts) {
      const fields = new Map<string, string>();
      for (const [key, value] of fieldsOf(mount)) {
        if (value === undefined) fields.set(key, 'true');
        else fields.set(key, this.#use([value], place, linter)[0] ?? '');
      }
      this.#askedMount(fields, place);
    }
  }

  #askedMount(fields: ReadonlyMap<string, string>, { line, endLine }: LintPlace): void {
    const type = fields.get('type');
    if (type !== 'secret' && type !== 'ssh') return;
    const target = fields.get('target') ?? fields.get('dst') ?? fields.get('destination') ?? '';
    const source = fields.get('source') ?? fields.get('src');
    const named = source || fields.get('id') || '';
    const id = named || (type === 'ssh' ? 'default' : (target.split('/').at(-1) ?? ''));
    const asked = type === 'ssh' ? this.agents : this.secrets;
    if (!asked.has(id)) asked.set(id, { id, required: fields.get('required') === 'true', line, endLine });
  }

  #copy(instruction: CopyInstruction, place: LintPlace, linter: Linter): void {
    const { kind, chown, chmod, checksum, sources, destination, inline, from } = instruction;
    this.#use(kind === 'add' ? [chown, chmod, checksum] : [chown, chmod], place, linter);
    const expanded = this.#use(sources, place, linter);
    this.#use([destination], place, linter);
    const contents = inline.filter(({ expand }) => expand).map(({ content }) => content);
    this.#use(contents, place, linter, true);
    if (from !== '') return;
    const { line, endLine } = place;
    for (const source of expanded) {
      if (source === undefined || isRemote(source)) continue;
      this.copies.push({ instruction: kind === 'add' ? 'Add' : 'Copy', source, linter, line, endLine });
    }
  }

  /** Only the first one: whatever is relative behind it is relative to what this Dockerfile says. */
  #workdir(value: string, place: LintPlace, linter: Linter): void {
    const [path] = this.#use([value], place, linter);
    if (path !== undefined && !path.startsWith('/') && !this.state.hasWorkdir) {
      const message = `Relative workdir ${JSON.stringify(path)} can have unexpected results if the base image changes`;
      linter.run('WorkdirRelativePath', place, message);
    }
    this.state.hasWorkdir = true;
  }
}

/** Fields of RUN --mount; none where they cannot be read, which the build says. */
function fieldsOf(mount: string): [key: string, value: string | undefined][] {
  try {
    return mountFields(mount);
  } catch (error) {
    if (error instanceof InvalidParameterError) return [];
    throw error;
  }
}

const SECRET = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const NO_SECRET = /(?:_|^)(?:public|file|version)(?:_|$)/i;

function lintSecret(instruction: 'ARG' | 'ENV', name: string, place: LintPlace, linter: Linter): void {
  if (!SECRET.test(name) || NO_SECRET.test(name)) return;
  const message = `Do not use ARG or ENV instructions for sensitive data (${instruction} ${JSON.stringify(name)})`;
  linter.run('SecretsUsedInArgOrEnv', place, message);
}

function isRemote(source: string): boolean {
  if (/^https?:\/\//.test(source)) return true;
  try {
    return parseGitUrl(source) !== undefined;
  } catch (error) {
    if (error instanceof InvalidParameterError) return true;
    throw error;
  }
}
