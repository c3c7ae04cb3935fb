/** `mydock stop`. */
import type { Client } from '../../client/client.ts';
import { parsedFlag, parseInteger, stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { forEachName } from './each.ts';
import { containerPath } from './lookup.ts';

export interface StopOptions {
  signal?: string;
  /** Seconds. */
  timeout?: number;
}

export const stop = defineVerb<StopOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Stop running containers',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-s, --signal <string>', 'Signal that asks the container to stop');
    parsedFlag(command, '-t, --timeout <int>', 'Seconds to wait before killing', parseInteger);
    parsedFlag(command, '--time <int>', 'Seconds to wait before killing (older name)', parseInteger);
  },
  run: ({ client, io }, names, options: StopOptions & { time?: number }) =>
    runStop(client, io, names, { ...options, ...timeoutOf(options) }),
});

export function runStop(
  client: Client,
  io: Io,
  names: readonly string[],
  options: StopOptions,
): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('POST', containerPath(name, '/stop'), {
      query: { t: options.timeout, signal: options.signal },
    });
    return name;
  });
}

/** `--time` is what `--timeout` was called before. */
export function timeoutOf(options: { timeout?: number; time?: number }): { timeout?: number } {
  const timeout = options.timeout ?? options.time;
  return timeout === undefined ? {} : { timeout };
}
