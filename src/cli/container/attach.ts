/** `mydock attach`, and the attaching that `start --attach` does. */
import type { ContainerInspectResponse } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError } from '../io.ts';
import { DetachWatch, parseDetachKeys } from '../terminal/detach-keys.ts';
import { followTerminalSize, resizeTerminal, terminalSize } from '../terminal/resize.ts';
import { proxySignals } from '../terminal/signal-proxy.ts';
import { copyStreams } from '../terminal/stream-copy.ts';
import { defineVerb } from '../verb.ts';
import { beginWait, containerPath, inspectContainer } from './lookup.ts';
import { exitOrDetach } from './run.ts';

export interface AttachOptions {
  detachKeys?: string;
  /** False with `--no-stdin`. */
  stdin: boolean;
  sigProxy: boolean;
}

export const attach = defineVerb<AttachOptions>({
  usage: '[OPTIONS] CONTAINER',
  summary: 'Attach stdin, stdout and stderr to a running container',
  args: { min: 1, max: 1 },
  flags(command) {
    stringFlag(command, '--detach-keys <string>', 'Keys that detach from the container');
    boolFlag(command, '--no-stdin', 'Do not attach stdin');
    boolFlag(command, '--sig-proxy', 'Pass signals on to the container', true);
  },
  run: ({ client, io }, [name = ''], options) => runAttach(client, io, name, options),
});

/** Returns the container's exit code, 0 where the user detached. */
export async function runAttach(
  client: Client,
  io: Io,
  name: string,
  options: AttachOptions,
): Promise<number> {
  const container = await inspectContainer(client, name);
  requireAttachable(container);
  const tty = container.Config.Tty === true;
  const stdin = options.stdin && container.Config.OpenStdin === true;
  if (stdin && tty && io.stdin.isTTY !== true) throw new CliError('the input device is not a TTY');
  const watch = new DetachWatch(parseDetachKeys(options.detachKeys));
  const waiting = await beginWait(client, container.Id, 'not-running');
  const stream = await client.hijack(containerPath(container.Id, '/attach'), {
    query: {
      stream: true,
      stdin: stdin ? true : undefined,
      stdout: true,
      stderr: true,
      detachKeys: options.detachKeys,
    },
  });
  const stopProxy =
    options.sigProxy && !tty
      ? proxySignals(client, container.Id, (error) => printError(io, `Error sending signal: ${error}`))
      : undefined;
  const stopResize = tty ? await redraw(client, io, containerPath(container.Id, '/resize')) : undefined;
  try {
    await copyStreams(io, stream, { tty, stdin, watch });
    return await exitOrDetach(client, io, container.Id, waiting, watch);
  } finally {
    stopProxy?.();
    stopResize?.();
  }
}

function requireAttachable({ State }: ContainerInspectResponse): void {
  if (!State.Running) throw new CliError('cannot attach to a stopped container, start it first');
  if (State.Paused) throw new CliError('cannot attach to a paused container, unpause it first');
  if (State.Restarting)
    throw new CliError('cannot attach to a restarting container, wait until it is running');
}

/** A change of size makes full-screen programs draw themselves anew; so the size is changed and set right again. */
async function redraw(client: Client, io: Io, path: string): Promise<() => void> {
  const size = terminalSize(io.stdout);
  if (size !== undefined)
    await resizeTerminal(client, path, { rows: size.rows + 1, columns: size.columns + 1 });
  return followTerminalSize(client, io, path);
}
