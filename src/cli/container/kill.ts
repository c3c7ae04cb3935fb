/** `mydock kill`. */
import type { Client } from '../../client/client.ts';
import { stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { forEachName } from './each.ts';
import { containerPath } from './lookup.ts';

export interface KillOptions {
  signal?: string;
}

export const kill = defineVerb<KillOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Send a signal to running containers (default KILL)',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-s, --signal <string>', 'Signal to send');
  },
  run: ({ client, io }, names, options) => runKill(client, io, names, options),
});

export function runKill(
  client: Client,
  io: Io,
  names: readonly string[],
  options: KillOptions,
): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('POST', containerPath(name, '/kill'), { query: { signal: options.signal } });
    return name;
  });
}
