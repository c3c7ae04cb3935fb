/** `mydock start`: starts stopped containers; with `--attach` follows one of them to its end. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { DetachWatch, parseDetachKeys } from '../terminal/detach-keys.ts';
import { followTerminalSize } from '../terminal/resize.ts';
import { proxySignals } from '../terminal/signal-proxy.ts';
import { copyStreams } from '../terminal/stream-copy.ts';
import { defineVerb } from '../verb.ts';
import { failureMessage } from './each.ts';
import { beginWait, containerPath, inspectContainer } from './lookup.ts';
import { exitOrDetach, startContainer } from './run.ts';

export interface StartOptions {
  attach: boolean;
  interactive: boolean;
  detachKeys?: string;
}

export const start = defineVerb<StartOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Start stopped containers',
  args: { min: 1 },
  flags(command) {
    boolFlag(command, '-a, --attach', 'Attach stdout and stderr, and pass signals on');
    stringFlag(command, '--detach-keys <string>', 'Keys that detach from the container');
    boolFlag(command, '-i, --interactive', "Attach the container's stdin");
  },
  run: ({ client, io }, names, options) => runStart(client, io, names, options),
});

/** Prints the names that were started, or follows the one container and returns its exit code. */
export async function runStart(
  client: Client,
  io: Io,
  names: readonly string[],
  options: StartOptions,
): Promise<number> {
  const [name = ''] = names;
  if (!options.attach && !options.interactive) return await startAll(client, io, names);
  if (names.length > 1) throw new CliError('you cannot start and attach multiple containers at once');
  return await startAttached(client, io, name, options);
}

async function startAll(client: Client, io: Io, names: readonly string[]): Promise<number> {
  const failed: string[] = [];
  for (const name of names) {
    try {
      await client.json('POST', containerPath(name, '/start'));
      printLine(io, name);
    } catch (error) {
      printError(io, failureMessage(error));
      failed.push(name);
    }
  }
  if (failed.length > 0) throw new CliError(`Error: failed to start containers: ${failed.join(', ')}`);
  return 0;
}

async function startAttached(client: Client, io: Io, name: string, options: StartOptions): Promise<number> {
  const container = await inspectContainer(client, name);
  const tty = container.Config.Tty === true;
  const stdin = options.interactive && container.Config.OpenStdin === true;
  const watch = new DetachWatch(parseDetachKeys(options.detachKeys));
  const condition = container.HostConfig.AutoRemove ? 'removed' : 'next-exit';
  const waiting = await beginWait(client, container.Id, condition);
  const stream = await client.hijack(containerPath(container.Id, '/attach'), {
    query: {
      stream: true,
      stdin: stdin ? true : undefined,
      stdout: true,
      stderr: true,
      detachKeys: options.detachKeys,
    },
  });
  const copy = copyStreams(io, stream, { tty, stdin, watch });
  copy.catch(() => {});
  const stopProxy = proxySignals(client, container.Id, (error) =>
    printError(io, `Error sending signal: ${error}`),
  );
  let stopResize: (() => void) | undefined;
  try {
    await startContainer(client, container.Id);
    if (tty) stopResize = followTerminalSize(client, io, containerPath(container.Id, '/resize'));
    await copy;
    return await exitOrDetach(client, io, container.Id, waiting, watch);
  } finally {
    stream.destroy();
    await copy.catch(() => {});
    stopProxy();
    stopResize?.();
  }
}
