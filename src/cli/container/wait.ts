/** `mydock wait`: prints each container's exit code when it has stopped. */
import type { Client } from '../../client/client.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { forEachName } from './each.ts';
import { beginWait } from './lookup.ts';

export const wait = defineVerb<Record<string, never>>({
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Wait until containers have stopped, then print their exit codes',
  args: { min: 1 },
  flags() {},
  run: ({ client, io }, names) => runWait(client, io, names),
});

export function runWait(client: Client, io: Io, names: readonly string[]): Promise<number> {
  return forEachName(io, names, async (name) => {
    const { exit } = await beginWait(client, name, 'not-running');
    const answer = await exit;
    if (answer.Error?.Message) throw new Error(answer.Error.Message);
    return String(answer.StatusCode);
  });
}
