/** `mydock restart`. */
import type { Client } from '../../client/client.ts';
import { parsedFlag, parseInteger, stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { forEachName } from './each.ts';
import { containerPath } from './lookup.ts';
import { type StopOptions, timeoutOf } from './stop.ts';

export const restart = defineVerb<StopOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Stop containers and start them again',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-s, --signal <string>', 'Signal that asks the container to stop');
    parsedFlag(command, '-t, --timeout <int>', 'Seconds to wait before killing', parseInteger);
    parsedFlag(command, '--time <int>', 'Seconds to wait before killing (older name)', parseInteger);
  },
  run: ({ client, io }, names, options: StopOptions & { time?: number }) =>
    runRestart(client, io, names, { ...options, ...timeoutOf(options) }),
});

export function runRestart(
  client: Client,
  io: Io,
  names: readonly string[],
  options: StopOptions,
): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('POST', containerPath(name, '/restart'), {
      query: { t: options.timeout, signal: options.signal },
    });
    return name;
  });
}
