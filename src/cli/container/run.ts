/** `mydock run`: create, attach, start, and follow a container to its end. */
import type { ContainerCreateRequest } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { type Attached, attach } from '../terminal/attached.ts';
import { DetachWatch, parseDetachKeys } from '../terminal/detach-keys.ts';
import { followTerminalSize } from '../terminal/resize.ts';
import { proxySignals } from '../terminal/signal-proxy.ts';
import { defineVerb } from '../verb.ts';
import { type ContainerOptions, containerFlags } from './container-flags.ts';
import { createContainer } from './create.ts';
import { createRequest } from './create-request.ts';
import { beginWait, containerPath, exitCodeOf, inspectContainer, type Waiting } from './lookup.ts';

export interface RunOptions extends ContainerOptions {
  detach: boolean;
  detachKeys?: string;
  sigProxy: boolean;
}

export const run = defineVerb<RunOptions>({
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create and start a container from an image',
  args: { min: 1 },
  stopAtFirstArgument: true,
  daemonErrorExit: 125,
  flags(command) {
    containerFlags(command);
    boolFlag(command, '-d, --detach', 'Leave the container in the background and print its ID');
    stringFlag(command, '--detach-keys <string>', 'Keys that detach from the container');
    boolFlag(command, '--sig-proxy', 'Pass signals on to the container', true);
  },
  run: ({ client, io }, [image = '', ...words], options) => runRun(client, io, image, words, options),
});

/** Returns the container's exit code, 0 when detached. */
export async function runRun(
  client: Client,
  io: Io,
  image: string,
  words: readonly string[],
  options: RunOptions,
): Promise<number> {
  if (options.detach && options.attach.length > 0) {
    throw new CliError('conflicting options: cannot specify both --attach and --detach');
  }
  const request = createRequest(image, words, options, io, client.host.url);
  if (options.detach) detachRequest(request);
  else requireTerminal(io, request);
  const id = await createContainer(client, io, request, options);
  if (options.detach) {
    await startContainer(client, id);
    printLine(io, id);
    return 0;
  }
  const stopProxy = options.sigProxy
    ? proxySignals(client, id, (error) => reportSignal(io, error))
    : undefined;
  try {
    return await follow(client, io, id, request, options);
  } finally {
    stopProxy?.();
  }
}

function detachRequest(request: ContainerCreateRequest): void {
  request.AttachStdin = false;
  request.AttachStdout = false;
  request.AttachStderr = false;
  request.StdinOnce = false;
}

/** A terminal in the container needs one here, where stdin goes there. */
function requireTerminal(io: Io, request: ContainerCreateRequest): void {
  if (request.AttachStdin === true && request.Tty === true && io.stdin.isTTY !== true) {
    throw new CliError('the input device is not a TTY');
  }
}

function reportSignal(io: Io, error: unknown): void {
  // A signal that comes after the end has no one to go to.
  if (error instanceof ApiError && (error.status === 409 || error.status === 404)) return;
  printError(io, `Error sending signal: ${error instanceof Error ? error.message : error}`);
}

/** Attach and wait both begin before the start, so that no output and no exit is missed. */
async function follow(
  client: Client,
  io: Io,
  id: string,
  request: ContainerCreateRequest,
  options: RunOptions,
): Promise<number> {
  const tty = request.Tty === true;
  const watch = new DetachWatch(parseDetachKeys(options.detachKeys));
  const [stream, waiting] = await Promise.all([
    attachBeforeStart(client, io, id, request, { keys: options.detachKeys, watch }),
    beginWait(client, id, options.rm ? 'removed' : 'next-exit'),
  ]);
  const copy = stream?.copy() ?? Promise.resolve();
  copy.catch(() => {});
  try {
    await startContainer(client, id);
  } catch (error) {
    stream?.destroy();
    await copy.catch(() => {});
    if (options.rm) await waiting.exit.catch(() => {});
    throw error;
  }
  const stopResize = tty ? followTerminalSize(client, io, containerPath(id, '/resize')) : undefined;
  try {
    await copy;
    return await exitOrDetach(client, io, id, waiting, watch);
  } finally {
    stopResize?.();
  }
}

async function attachBeforeStart(
  client: Client,
  io: Io,
  id: string,
  { AttachStdin, AttachStdout, AttachStderr, Tty }: ContainerCreateRequest,
  { keys, watch }: { keys: string | undefined; watch: DetachWatch },
): Promise<Attached | undefined> {
  if (!AttachStdin && !AttachStdout && !AttachStderr) return undefined;
  const query = {
    stream: true,
    stdin: AttachStdin === true ? true : undefined,
    stdout: AttachStdout === true ? true : undefined,
    stderr: AttachStderr === true ? true : undefined,
    detachKeys: keys,
  };
  const how = { tty: Tty === true, stdin: AttachStdin === true, watch };
  return await attach(client, io, containerPath(id, '/attach'), { query }, how);
}

/** The output has ended: either the container did, or the detach keys were typed and it goes on. */
export async function exitOrDetach(
  client: Client,
  io: Io,
  id: string,
  waiting: Waiting,
  watch: DetachWatch,
): Promise<number> {
  if (watch.seen) {
    const running = await inspectContainer(client, id).then(
      ({ State }) => State.Running,
      () => false,
    );
    if (running) {
      printError(io, 'read escape sequence');
      return 0;
    }
  }
  return await exitCodeOf(waiting);
}

/** Throws `CliError` with 126 or 127 where the command cannot be run or found, else with 125. */
export async function startContainer(
  client: Client,
  id: string,
  query: { detachKeys?: string } = {},
): Promise<void> {
  try {
    await client.json('POST', containerPath(id, '/start'), { query });
  } catch (error) {
    if (error instanceof ApiError) {
      throw new CliError(`Error response from daemon: ${error.message}`, startExitCode(error.message));
    }
    throw error;
  }
}

/**
 * Docker's reading of the daemon's message: 127 not found, 126 cannot be invoked, 125 anything else. The words are
 * Go's, in small letters: with a capital, as the C library writes it, an error is one of a mount or the like, and the
 * engine's. Other runtimes, whose words stand in the frame alone, may write the program's errors so as well.
 */
export function startExitCode(message: string): number {
  const foreign = /OCI runtime (create|start|exec) failed: (?!.*unable to start container process)/.test(
    message,
  );
  const words = foreign ? message.toLowerCase() : message;
  if (
    /executable file not found|no such file or directory|system cannot find the file specified/.test(words)
  ) {
    return 127;
  }
  return /permission denied|is a directory/.test(words) ? 126 : 125;
}
