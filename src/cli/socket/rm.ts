/** `mydock socket rm`. */
import { type Client, pathSegment } from '../../client/client.ts';
import { forEachName } from '../container/each.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';

export const rm = defineVerb<Record<string, never>>({
  usage: 'SOCKET [SOCKET...]',
  summary: 'Stop serving scoped sockets and remove them',
  args: { min: 1 },
  flags() {},
  run: ({ client, io }, names) => runSocketRm(client, io, names),
});

export function runSocketRm(client: Client, io: Io, names: readonly string[]): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('DELETE', `/sockets/${pathSegment(name)}`);
    return name;
  });
}
