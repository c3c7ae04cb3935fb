/**
 * Checks of FROM lines and of the ARGs in front of them: what they use is declared, and makes a base image of default
 * values as well. What the arguments come to is also what an outline of the build tells.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import { parsePlatform } from '../../../image/platform.ts';
import { parseReference } from '../../../image/reference.ts';
import type { ArgInstruction, Dockerfile, FromInstruction } from '../ast.ts';
import { nearestWord } from '../suggest.ts';
import type { Linter, LintPlace } from './linter.ts';
import { type Expanded, TrackedVariables } from './tracked-variables.ts';

export type GivenArguments = Readonly<Record<string, string | null>>;

/** An argument as it comes to its value. */
export interface KnownArgument extends LintPlace {
  name: string;
  value: string;
  description: string;
  /** Other arguments in its default. */
  needs: ReadonlySet<string>;
}

export interface GlobalVariables {
  variables: TrackedVariables;
  arguments: Map<string, KnownArgument>;
}

/** `platform`: TARGETARCH and the others. Undefined where a default cannot be expanded. */
export function globalVariables(
  dockerfile: Pick<Dockerfile, 'globalArgs' | 'escapeChar'>,
  platform: Readonly<Record<string, string>>,
  given: GivenArguments,
): GlobalVariables | undefined {
  const predefined = Object.entries(platform).map(
    ([name, value]) => [name, givenValue(given, name) ?? value] as const,
  );
  const variables = new TrackedVariables(predefined, dockerfile.escapeChar);
  const known = new Map<string, KnownArgument>();
  for (const instruction of dockerfile.globalArgs) {
    if (!declare(instruction, variables, known, given)) return undefined;
  }
  return { variables, arguments: known };
}

function declare(
  { args, line, endLine }: ArgInstruction,
  variables: TrackedVariables,
  known: Map<string, KnownArgument>,
  given: GivenArguments,
): boolean {
  for (const { name, value, description } of args) {
    let needs = new Set<string>();
    let result = givenValue(given, name);
    if (result === undefined && value !== undefined) {
      const expanded = variables.expand(value);
      if (expanded.text === undefined) return false;
      result = expanded.text;
      needs = new Set(expanded.found);
      // Declared once more by means of itself: what it needed before it needs still.
      if (needs.delete(name)) for (const other of known.get(name)?.needs ?? []) needs.add(other);
    }
    if (result !== undefined) variables.set(name, result);
    known.set(name, { name, value: result ?? '', description, needs, line, endLine });
  }
  return true;
}

/** Undefined as well for an argument that was given without a value. */
export function givenValue(given: GivenArguments, name: string): string | undefined {
  return Object.hasOwn(given, name) ? (given[name] ?? undefined) : undefined;
}

/** Base images that only given arguments make valid. */
export function lintDefaults(
  dockerfile: Dockerfile,
  defaults: GlobalVariables | undefined,
  linter: Linter,
): void {
  if (defaults === undefined) return;
  for (const { from } of dockerfile.stages) {
    const { text } = defaults.variables.expand(from.base);
    if (text === undefined) return;
    if (isReference(text)) continue;
    const message = `Default value for ARG ${from.base} results in empty or invalid base image name`;
    linter.run('InvalidDefaultArgInFrom', from, message);
  }
}

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch (error) {
    if (error instanceof InvalidParameterError) return false;
    throw error;
  }
}

/** Returns the arguments that the line uses. */
export function lintFrom(from: FromInstruction, globals: GlobalVariables, global: Linter): Set<string> {
  const linter = global.within(from.comments);
  const base = globals.variables.expand(from.base);
  lintUndeclared(from, base, globals, linter);
  const used = new Set(base.found);
  if (from.platform === '') return used;
  const platform = globals.variables.expand(from.platform);
  lintUndeclared(from, platform, globals, linter);
  lintRedundantPlatform(from, platform, globals, linter);
  lintConstantPlatform(from, platform, linter);
  for (const name of platform.found) used.add(name);
  return used;
}

function lintUndeclared(
  from: FromInstruction,
  { missing }: Expanded,
  globals: GlobalVariables,
  linter: Linter,
): void {
  const known = [...new Set([...globals.arguments.keys(), ...globals.variables.names])];
  for (const name of missing) {
    if (known.includes(name)) continue;
    const near = nearestWord(name, known);
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    linter.run('UndefinedArgInFrom', from, `FROM argument '${name}' is not declared${hint}`);
  }
}

function lintRedundantPlatform(
  from: FromInstruction,
  { text, found, missing }: Expanded,
  { variables }: GlobalVariables,
  linter: Linter,
): void {
  if (found.size !== 1 || missing.size > 0 || !found.has('TARGETPLATFORM')) return;
  if (text !== variables.get('TARGETPLATFORM')) return;
  linter.run(
    'RedundantTargetPlatform',
    from,
    `Setting platform to predefined ${from.platform} in FROM is redundant as this is the default behavior`,
  );
}

/** A stage that is named after its platform means it. */
function lintConstantPlatform(
  from: FromInstruction,
  { text, found, missing }: Expanded,
  linter: Linter,
): void {
  if (text === undefined || found.size > 0 || missing.size > 0) return;
  try {
    const { os, architecture } = parsePlatform(text);
    if (from.name.includes(os) || from.name.includes(architecture)) return;
  } catch (error) {
    // The build says so.
    if (error instanceof InvalidParameterError) return;
    throw error;
  }
  const message = `FROM --platform flag should not use constant value ${JSON.stringify(text)}`;
  linter.run('FromPlatformFlagConstDisallowed', from, message);
}
