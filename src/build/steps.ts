/**
 * The instructions of a stage, one function each: what they do to the root file system, and the text under which the
 * step is cached and shown in the history. Changes of the configuration stand in config-changes.ts.
 */
import { closeSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { EngineError, InvalidParameterError, NotImplementedError } from '../base/errors.ts';
import { digestOf } from '../image/digest.ts';
import { openDirectory } from '../volume/copy-tree.ts';
import { type BuildRun, cacheKey } from './build-run.ts';
import { copyInto, makeDirectories } from './copy-into.ts';
import { findSources, type SourceRoot } from './copy-sources.ts';
import type { CopyInstruction, EscapeCharacter, Instruction, RunInstruction } from './dockerfile/ast.ts';
import { type ExpandOptions, expandWord } from './dockerfile/expand.ts';
import { argumentVector, type Change, changeConfig, labelChange } from './solve/config-changes.ts';
import type { StageState } from './stage-state.ts';

/** A RUN whose program ended with another code than 0. */
export class RunFailedError extends EngineError {
  readonly exitCode: number;

  constructor(command: string, exitCode: number) {
    super('InvalidParameter', `The command '${command}' returned a non-zero code: ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export interface StepContext {
  run: BuildRun;
  state: StageState;
  escapeChar: EscapeCharacter;
  /** The root that `COPY --from` means, mounted for `body`. */
  withSource<T>(from: string, body: (root: SourceRoot) => Promise<T>): Promise<T>;
}

/** Does one instruction. Throws InvalidParameter, NotImplemented, RunFailedError. */
export async function runInstruction(context: StepContext, instruction: Instruction): Promise<void> {
  const { state } = context;
  switch (instruction.kind) {
    case 'run':
      return await runStep(context, instruction);
    case 'copy':
    case 'add':
      return await copyStep(context, instruction);
    case 'workdir':
      return await workdirStep(context, instruction.value);
    case 'arg':
      return argStep(context, instruction.args);
    case 'from':
      throw new InvalidParameterError('FROM cannot stand inside of a stage');
    default:
      return configStep(context, changeConfig(state, instruction, expansion(context)));
  }
}

function expansion({ run, state, escapeChar }: StepContext): ExpandOptions {
  return { escapeChar, lookup: (name) => state.variable(name) ?? run.options.args.lookup(name) };
}

/** Only the configuration changes. */
function configStep({ run, state }: StepContext, { step, apply }: Change): void {
  const text = `/bin/sh -c #(nop)  ${step ?? 'ONBUILD'}`;
  const hit = run.useCache(state, text);
  if (hit) {
    // A cached image has the change already; what the stage knows beyond it has not.
    state.cmdSet ||= step?.startsWith('CMD ') === true;
    return;
  }
  const key = cacheKey(state, text);
  apply(state);
  run.makeImage(state, text, undefined, key);
}

/** `--label`: no expansion. */
export function addLabels(context: StepContext, labels: Readonly<Record<string, string>>): void {
  const pairs = Object.keys(labels)
    .sort()
    .map((name) => ({ name, value: labels[name] ?? '' }));
  configStep(context, labelChange(context.state, pairs));
}

/** Declares arguments; the values are part of the steps that use them, so the image does not change. */
function argStep(context: StepContext, args: readonly { name: string; value?: string }[]): void {
  const options = expansion(context);
  for (const { name, value } of args) {
    context.run.options.args.declare(name, value === undefined ? undefined : expandWord(value, options));
  }
}

async function workdirStep(context: StepContext, value: string): Promise<void> {
  const { run, state } = context;
  const requested = expandWord(value, expansion(context));
  if (requested === '') throw new InvalidParameterError('WORKDIR is empty after its variables were expanded');
  const path = posix.resolve('/', state.config.WorkingDir ?? '', requested);
  const step = `/bin/sh -c #(nop) WORKDIR ${path}`;
  if (run.useCache(state, step)) return;
  state.config.WorkingDir = path;
  await run.withRoot(state.layers, true, async (rootfs, upper) => {
    const root = openDirectory(rootfs);
    try {
      closeSync(makeDirectories(root, path, { uid: 0, gid: 0 }).fd);
    } finally {
      closeSync(root);
    }
    const changed = readdirSync(upper).length > 0;
    run.makeImage(state, step, changed ? await run.commitLayer(upper) : undefined);
  });
}

async function copyStep(context: StepContext, instruction: CopyInstruction): Promise<void> {
  const { run, state } = context;
  const name = instruction.kind.toUpperCase();
  refuseCopyFlags(name, instruction);
  const options = expansion(context);
  const expand = (text: string) => expandWord(text, options);
  const sources = instruction.sources.map(expand);
  refuseRemote(name, sources);
  const inline = instruction.inline.map((file) => ({
    name: file.name,
    content: file.expand ? expandText(file.content, options) : file.content,
  }));
  const destination = expand(instruction.destination);
  const chown = expand(instruction.chown);
  const chmod = expand(instruction.chmod);
  try {
    await context.withSource(instruction.from, async (root) => {
      const found = await findSources(root, sources, run.signal);
      if (found.length === 0 && inline.length === 0)
        throw new InvalidParameterError('no source files were specified');
      const content = [
        ...found.map(({ digest, path }) => `${digest} ${path}`),
        ...inline.map((one) => JSON.stringify(one)),
      ];
      const flags = `${chown === '' ? '' : `--chown=${chown} `}${chmod === '' ? '' : `--chmod=${chmod} `}`;
      const step = `/bin/sh -c #(nop) ${name} ${flags}${sourceText(content)} in ${destination} `;
      if (run.useCache(state, step)) return;
      await run.withRoot(state.layers, true, async (rootfs, upper) => {
        const job = { instruction: name, sources: found, inline, destination, chown, chmod };
        const place = { workingDir: state.config.WorkingDir ?? '/', unpack: instruction.kind === 'add' };
        await copyInto(rootfs, { ...job, ...place }, run.signal);
        run.makeImage(state, step, await run.commitLayer(upper));
      });
    });
  } catch (error) {
    if (!(error instanceof InvalidParameterError)) throw error;
    throw new InvalidParameterError(`${name} failed: ${error.message}`, error.cause);
  }
}

/** The digests alone name the step; a name matters where it becomes the file's name in the destination. */
function sourceText(content: string[]): string {
  const [only] = content;
  return content.length === 1 && only !== undefined ? only : `multi:${digestOf(content.join('\n')).slice(7)}`;
}

function refuseCopyFlags(name: string, instruction: CopyInstruction): void {
  const notBuilt: [boolean, string][] = [
    [instruction.parents, '--parents'],
    [instruction.excludes.length > 0, '--exclude'],
    [instruction.checksum !== '', '--checksum'],
    [instruction.keepGitDir !== undefined, '--keep-git-dir'],
    [instruction.unpack !== undefined, '--unpack'],
  ];
  for (const [used, flag] of notBuilt)
    if (used) throw new NotImplementedError(`not implemented: ${name} ${flag}`);
}

function refuseRemote(name: string, sources: string[]): void {
  for (const source of sources) {
    if (!/^(?:https?|git|ssh):\/\/|^git@/.test(source)) continue;
    if (name === 'COPY') throw new InvalidParameterError("COPY failed: source can't be a URL for COPY");
    throw new NotImplementedError(`not implemented: ADD of a remote source (${source})`);
  }
}

/** Variables in a heredoc's content; quotes mean nothing there. */
function expandText(text: string, options: ExpandOptions): string {
  const protectedText = text.replace(/['"]/g, (quote) => `${options.escapeChar}${quote}`);
  return expandWord(protectedText, options);
}

async function runStep(context: StepContext, instruction: RunInstruction): Promise<void> {
  const { run, state } = context;
  refuseRunFlags(instruction);
  const { args, script } = runCommand(state, instruction);
  const taken = new Set(state.env.map((entry) => entry.split('=', 1)[0] ?? ''));
  const build = run.options.args.environment(taken);
  const visible = build.visible.length === 0 ? '' : `|${build.visible.length} ${build.visible.join(' ')} `;
  const step = `${visible}${args.join(' ')}${script === undefined ? '' : `\n${script.content}`}`;
  if (run.useCache(state, step)) return;
  const id = run.newId();
  run.print(` ---> Running in ${id.slice(0, 12)}\n`);
  // One for each stream: characters may be cut between chunks.
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  const { stepRunner, request } = run.options;
  const execute = async (rootfs: string, upper: string): Promise<void> => {
    const { exitCode } = await stepRunner.run({
      id,
      rootfs,
      args,
      env: [...state.env, ...build.all],
      cwd: state.config.WorkingDir || '/',
      user: state.config.User ?? '',
      network: request.networkMode,
      extraHosts: request.extraHosts,
      limits: request.limits,
      files: script === undefined ? [] : [writeScript(run, id, script)],
      onOutput: (chunk, stream) => run.print(decoders[stream].write(chunk)),
      signal: run.signal,
    });
    if (exitCode !== 0) throw new RunFailedError(args.join(' '), exitCode);
    run.makeImage(state, step, await run.commitLayer(upper));
  };
  await stepRunner.withOwners({ id, network: request.networkMode }, (owners) =>
    run.withRoot(state.layers, true, execute, owners),
  );
  run.print(` ---> Removed intermediate container ${id.slice(0, 12)}\n`);
}

function refuseRunFlags(instruction: RunInstruction): void {
  const notBuilt: [boolean, string][] = [
    [instruction.mounts.length > 0, '--mount'],
    [instruction.network !== '' && instruction.network !== 'default', '--network'],
    [instruction.security !== '' && instruction.security !== 'sandbox', '--security'],
  ];
  for (const [used, flag] of notBuilt)
    if (used) throw new NotImplementedError(`not implemented: RUN ${flag}`);
}

interface Script {
  name: string;
  content: string;
}

/**
 * A heredoc alone is a script for the shell, or with `#!` a program; behind a command it is what the shell makes of
 * it.
 */
function runCommand(
  state: StageState,
  { command, heredocs }: RunInstruction,
): { args: string[]; script?: Script } {
  const [text = ''] = command.words;
  const [first] = heredocs;
  if (command.form === 'exec' || first === undefined) {
    const args = argumentVector(state, command);
    if (args.length === 0) throw new InvalidParameterError('RUN has no command');
    return { args };
  }
  if (heredocs.length === 1 && /^<<-?\s*\S+$/.test(text)) {
    if (!first.content.startsWith('#!')) return { args: [...state.shell, first.content] };
    const path = `/dev/pipes/${first.name}`;
    return { args: [path], script: { name: first.name, content: first.content } };
  }
  const bodies = heredocs.map(({ content, name }) => `\n${content}${name}`).join('');
  return { args: [...state.shell, `${text}${bodies}`] };
}

function writeScript(run: BuildRun, id: string, script: Script): { source: string; destination: string } {
  const folder = join(run.options.folder, 'scripts');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const source = join(folder, id);
  writeFileSync(source, script.content, { mode: 0o755 });
  return { source, destination: `/dev/pipes/${script.name}` };
}
