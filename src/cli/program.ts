/** One run of the program, from the words of the command line to the exit code. */
import { beginSpan } from '../base/spans.ts';
import type { Client } from '../client/client.ts';
import { ConnectionError } from '../client/client-error.ts';
import { DEFAULT_SOCKET } from '../client/host.ts';
import { CliError, FlagError } from './cli-error.ts';
import { FlagTable } from './flags/flag-table.ts';
import { type ParsedLine, parseCommandLine } from './flags/parse.ts';
import { groupHelp, helpText, programHelp } from './flags/usage.ts';
import { printableText } from './format/text.ts';
import { type GlobalOptions, globalFlags } from './global-flags.ts';
import { type Io, printError } from './io.ts';
import type { Verb } from './verb.ts';
import { TOP_VERBS, VERB_GROUPS, type VerbEntry } from './verbs.ts';

/** Compose is a program of its own, and a user of Docker has it already. */
const COMPOSE_HINT = `

Compose works over the daemon's socket: DOCKER_HOST=unix://${DEFAULT_SOCKET} docker compose`;

/** Resolves with the exit code; `cut` resolves early where the output's reader has gone. Never rejects. */
export async function runProgram(words: readonly string[], io: Io, cut?: Promise<number>): Promise<number> {
  try {
    return await dispatch(words, io, cut ?? new Promise(() => {}));
  } catch (error) {
    return reportFailure(error, io);
  }
}

async function dispatch(words: readonly string[], io: Io, cut: Promise<number>): Promise<number> {
  const program = globalFlags();
  const line = readGlobals(program, words);
  const options = line.options as unknown as GlobalOptions;
  await beginTrace(options, line.args, io);
  if (line.help) return print(io, programHelp(program));
  if (options.version) return await printVersion(io);
  const [first, ...rest] = line.args;
  if (first === undefined) {
    io.stderr.write(programHelp(program));
    return 0;
  }
  if (first === '__complete') {
    const { printCompletion } = await import('./completion/print.ts');
    return await printCompletion(rest, options, io);
  }
  if (first === 'help') return await help(rest, io, program);
  const found = findVerb(line.args);
  if (found === undefined) return unknownOrGroup(line.args, io);
  return await runVerb(found, options, io, cut);
}

/** Ends with the process. */
async function beginTrace(options: GlobalOptions, args: readonly string[], io: Io): Promise<void> {
  const path = options.trace ?? io.env['MYDOCK_TRACE'];
  if (!path) return;
  const { startTrace } = await import('../base/trace.ts');
  startTrace({
    path,
    name: ['mydock', ...args.slice(0, 1)].join(' '),
    launchedUs: Number(io.env['MYDOCK_LAUNCHED_US']) || undefined,
    onFailure: (message) => printError(io, `mydock: ${message}`),
  });
}

function readGlobals(program: FlagTable, words: readonly string[]): ParsedLine {
  try {
    return parseCommandLine(program, words, true);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    const usage = "Usage:  mydock [OPTIONS] COMMAND [ARG...]\n\nRun 'mydock --help' for more information";
    throw new CliError(`${error.message}\n\n${usage}`, error.exitCode);
  }
}

interface FoundVerb {
  /** `container run`. */
  readonly path: string;
  readonly entry: VerbEntry;
  readonly words: readonly string[];
}

function findVerb(words: readonly string[]): FoundVerb | undefined {
  const [first = '', second = ''] = words;
  const top = own(TOP_VERBS, first);
  if (top !== undefined) return { path: first, entry: top, words: words.slice(1) };
  const inGroup = own(own(VERB_GROUPS, first)?.verbs ?? {}, second);
  return inGroup && { path: `${first} ${second}`, entry: inGroup, words: words.slice(2) };
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function unknownOrGroup(words: readonly string[], io: Io): number {
  const [first = '', second] = words;
  const group = own(VERB_GROUPS, first);
  if (group !== undefined && (second === undefined || second === '--help' || second === '-h')) {
    const target = second === undefined ? io.stderr : io.stdout;
    target.write(groupHelp(first, group));
    return 0;
  }
  const path = group === undefined ? first : `${first} ${second}`;
  const usage = group === undefined ? '' : `\n\nUsage:  mydock ${first}`;
  const hint = group === undefined ? 'mydock' : `mydock ${first}`;
  const message = `mydock: unknown command: mydock ${path}${usage}${first === 'compose' ? COMPOSE_HINT : ''}`;
  throw new CliError(`${message}\n\nRun '${hint} --help' for more information`);
}

async function help(words: readonly string[], io: Io, program: FlagTable): Promise<number> {
  if (words.length === 0) return print(io, programHelp(program));
  const found = findVerb(words);
  if (found !== undefined) {
    const verb = await found.entry.load();
    return print(io, helpText(found.path, verb, flagsOf(verb), io.stdout.columns));
  }
  const group = own(VERB_GROUPS, words[0] ?? '');
  if (group !== undefined && words.length === 1) return print(io, groupHelp(words[0] ?? '', group));
  throw new CliError(`unknown help topic: ${words.join(' ')}`);
}

async function runVerb(
  found: FoundVerb,
  globals: GlobalOptions,
  io: Io,
  cut: Promise<number>,
): Promise<number> {
  const loaded = beginSpan('cli', 'load the verb');
  const verb = await found.entry.load();
  loaded();
  const parsed = beginSpan('cli', 'read the flags');
  const flags = flagsOf(verb);
  const line = readLine(found, verb, flags);
  if (line.help) return print(io, helpText(found.path, verb, flags, io.stdout.columns));
  requireArguments(found.path, verb, line.args.length);
  parsed();
  const { openClient } = await import('./open-client.ts');
  const done = beginSpan('cli', found.path);
  let client: Client | undefined;
  try {
    client = await openClient(globals, io);
    const work = verb.run({ client, io, host: globals.host }, line.args, line.options as never);
    return await Promise.race([work, cut]);
  } catch (error) {
    throw withHint(error, found.path, verb);
  } finally {
    client?.close();
    io.closeInput();
    done();
  }
}

function flagsOf(verb: Verb<never>): FlagTable {
  const command = new FlagTable();
  verb.flags(command);
  return command;
}

function readLine(found: FoundVerb, verb: Verb<never>, flags: FlagTable): ParsedLine {
  if (verb.passThrough === true) {
    const help = found.words[0] === '--help';
    return { args: [...found.words], options: {}, given: new Set(), help };
  }
  try {
    return parseCommandLine(flags, found.words, verb.stopAtFirstArgument);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    throw new CliError(`${error.message}\n\n${usageHint(found.path, verb)}`, error.exitCode);
  }
}

function usageHint(path: string, verb: Verb<never>): string {
  return `Usage:  mydock ${path} ${verb.usage}\n\nRun 'mydock ${path} --help' for more information`;
}

function requireArguments(path: string, verb: Verb<never>, count: number): void {
  const { min, max } = verb.args;
  if (count >= min && (max === undefined || count <= max)) return;
  const plural = (n: number): string => `${n} argument${n === 1 ? '' : 's'}`;
  let rule = `requires at least ${plural(min)}`;
  if (max === 0) rule = 'accepts no arguments';
  else if (min === max) rule = `requires ${plural(min)}`;
  else if (max !== undefined && count > max) rule = `requires at most ${plural(max)}`;
  throw new CliError(`mydock: 'mydock ${path}' ${rule}\n\n${usageHint(path, verb)}`);
}

/** Errors of run and its kin carry the program's name and a hint, as Docker's do. */
function withHint(error: unknown, path: string, verb: Verb<never>): unknown {
  if (verb.daemonErrorExit === undefined) return error;
  const failure = asCliError(error, verb.daemonErrorExit);
  // What was wrong before the daemon was asked ends with 1 and speaks for itself.
  if (failure.message === '' || failure.exitCode < verb.daemonErrorExit) return failure;
  const message = `mydock: ${failure.message}\n\nRun 'mydock ${path} --help' for more information`;
  return new CliError(message, failure.exitCode);
}

function reportFailure(error: unknown, io: Io): number {
  const failure = asCliError(error, 1);
  // Messages quote what images, registries and containers say.
  if (failure.message !== '') printError(io, printableText(failure.message));
  return failure.exitCode;
}

function asCliError(error: unknown, exitCode: number): CliError {
  if (error instanceof CliError) return error;
  if (!(error instanceof Error)) return new CliError(String(error), exitCode);
  if (error.name === 'ApiError')
    return new CliError(`Error response from daemon: ${error.message}`, exitCode);
  if (error instanceof ConnectionError) return new CliError(error.message, exitCode);
  return new CliError(error.message, exitCode);
}

function print(io: Io, text: string): number {
  io.stdout.write(text);
  return 0;
}

async function printVersion(io: Io): Promise<number> {
  const { MYDOCK_VERSION } = await import('../base/version.ts');
  return print(io, `mydock version ${MYDOCK_VERSION}\n`);
}
