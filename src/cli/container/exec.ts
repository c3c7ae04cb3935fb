/** `mydock exec`: runs a command in a running container. */
import type { ExecCreateRequest, ExecCreateResponse, ExecInspectResponse } from '../../api/exec.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, listFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError } from '../io.ts';
import { environmentOf } from '../options/environment.ts';
import { attach } from '../terminal/attached.ts';
import { DetachWatch, parseDetachKeys } from '../terminal/detach-keys.ts';
import { followTerminalSize, terminalSize } from '../terminal/resize.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';
import { startExitCode } from './run.ts';

export interface ExecOptions {
  detach: boolean;
  detachKeys?: string;
  env: string[];
  envFile: string[];
  interactive: boolean;
  privileged: boolean;
  tty: boolean;
  user?: string;
  workdir?: string;
}

export const exec = defineVerb<ExecOptions>({
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  summary: 'Run a command in a running container',
  args: { min: 2 },
  stopAtFirstArgument: true,
  flags(command) {
    boolFlag(command, '-d, --detach', 'Leave the command in the background');
    stringFlag(command, '--detach-keys <string>', 'Keys that detach from the command');
    listFlag(command, '-e, --env <list>', 'Set an environment variable');
    listFlag(command, '--env-file <list>', 'Read environment variables from a file');
    boolFlag(command, '-i, --interactive', 'Keep stdin open even if it is not attached');
    boolFlag(command, '--privileged', 'Give the command all privileges');
    boolFlag(command, '-t, --tty', 'Allocate a pseudo-terminal');
    stringFlag(command, '-u, --user <string>', 'User and group (<name|uid>[:<group|gid>])');
    stringFlag(command, '-w, --workdir <string>', 'Working directory inside the container');
  },
  run: ({ client, io }, [name = '', ...words], options) => runExec(client, io, name, words, options),
});

/** Returns the command's exit code, 0 when detached; 126 and 127 where it cannot be run or found. */
export async function runExec(
  client: Client,
  io: Io,
  name: string,
  words: readonly string[],
  options: ExecOptions,
): Promise<number> {
  const { tty, detach } = options;
  const stdin = options.interactive && !detach;
  if (stdin && tty && io.stdin.isTTY !== true) throw new CliError('the input device is not a TTY');
  const size = tty ? terminalSize(io.stdout) : undefined;
  const consoleSize: Pick<ExecCreateRequest, 'ConsoleSize'> =
    size === undefined ? {} : { ConsoleSize: [size.rows, size.columns] };
  const { Id } = await client.json<ExecCreateResponse>('POST', containerPath(name, '/exec'), {
    json: execRequest(words, options, io, consoleSize),
  });
  const path = `/exec/${pathSegment(Id)}`;
  const start = { Detach: detach, Tty: tty, ...consoleSize };
  if (detach) {
    await client.json('POST', `${path}/start`, { json: start });
    return 0;
  }
  return await followExec(client, io, path, start, { tty, stdin, keys: options.detachKeys });
}

function execRequest(
  words: readonly string[],
  options: ExecOptions,
  io: Io,
  consoleSize: Pick<ExecCreateRequest, 'ConsoleSize'>,
): ExecCreateRequest {
  return {
    User: options.user ?? '',
    Privileged: options.privileged,
    Tty: options.tty,
    ...consoleSize,
    AttachStdin: options.interactive && !options.detach,
    AttachStdout: !options.detach,
    AttachStderr: !options.detach,
    Detach: options.detach,
    DetachKeys: options.detachKeys ?? '',
    Env: environmentOf(options.envFile, options.env, io.env),
    WorkingDir: options.workdir ?? '',
    Cmd: [...words],
  };
}

async function followExec(
  client: Client,
  io: Io,
  path: string,
  start: object,
  how: { tty: boolean; stdin: boolean; keys: string | undefined },
): Promise<number> {
  const watch = new DetachWatch(parseDetachKeys(how.keys));
  let stopResize: (() => void) | undefined;
  try {
    const copying = { tty: how.tty, stdin: how.stdin, watch };
    const stream = await attach(client, io, `${path}/start`, { json: start }, copying);
    if (how.tty) stopResize = followTerminalSize(client, io, `${path}/resize`);
    await stream.copy();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const exitCode = startExitCode(error.message);
    throw new CliError(error.message, exitCode === 125 ? 1 : exitCode);
  } finally {
    stopResize?.();
  }
  return await execExit(client, io, path, watch);
}

async function execExit(client: Client, io: Io, path: string, watch: DetachWatch): Promise<number> {
  const state = await client.json<ExecInspectResponse>('GET', `${path}/json`);
  if (state.Running && watch.seen) {
    printError(io, 'read escape sequence');
    return 0;
  }
  return state.ExitCode ?? 0;
}
