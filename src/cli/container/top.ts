/** `mydock top`: the processes of a container; on a terminal drawn anew every second. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerTopResponse } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { alignTable } from '../format/table.ts';
import { printableLine } from '../format/text.ts';
import type { Io } from '../io.ts';
import { Screen } from '../terminal/screen.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';

export interface TopOptions {
  /** False with `--no-stream`. */
  stream: boolean;
}

export const top = defineVerb<TopOptions>({
  usage: '[OPTIONS] CONTAINER [ps OPTIONS]',
  summary: "Show a container's processes; on a terminal until it is interrupted",
  args: { min: 1 },
  stopAtFirstArgument: true,
  flags(command) {
    boolFlag(command, '--no-stream', 'Show them once, also on a terminal');
  },
  run: ({ client, io }, [name = '', ...psArgs], options) => runTop(client, io, name, psArgs, options),
});

const REDRAW_MS = 1000;
const MIN_CELL = 20;

/** Ends with the container. */
export async function runTop(
  client: Client,
  io: Io,
  name: string,
  psArgs: readonly string[],
  options: TopOptions,
): Promise<number> {
  const query = { ps_args: psArgs.length === 0 ? undefined : psArgs.join(' ') };
  const processes = async (): Promise<string> => {
    const path = containerPath(name, '/top');
    const { Titles, Processes } = await client.json<ContainerTopResponse>('GET', path, { query });
    return alignTable(
      [Titles, ...(Processes ?? [])].map((row) => row.map(printableLine).join('\t')),
      MIN_CELL,
    );
  };
  const first = await processes();
  if (!options.stream || io.stdout.isTTY !== true) {
    io.stdout.write(first);
    return 0;
  }
  const screen = new Screen(io.stdout);
  for (let text: string | undefined = first; text !== undefined; text = await whileThere(processes)) {
    screen.draw(text);
    await sleep(REDRAW_MS);
  }
  return 0;
}

/** Undefined once the container has stopped or is gone. */
async function whileThere(processes: () => Promise<string>): Promise<string | undefined> {
  try {
    return await processes();
  } catch (error) {
    if (error instanceof ApiError && [404, 409, 500].includes(error.status)) return undefined;
    throw error;
  }
}
