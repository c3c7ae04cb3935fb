/** `mydock socket inspect`: all that is known of scoped sockets, operation by operation. */
import type { ScopedSocket } from '../../api/sockets.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { failureMessage } from '../container/each.ts';
import { stringFlag } from '../flags/declare.ts';
import { printObjects } from '../format/objects.ts';
import { printableText } from '../format/text.ts';
import { type Io, printError } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface SocketInspectOptions {
  format?: string;
}

export const inspect = defineVerb<SocketInspectOptions>({
  usage: '[OPTIONS] SOCKET [SOCKET...]',
  summary: 'Show what scoped sockets can do',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-f, --format <string>', 'Output as "json" or a Go template');
  },
  run: ({ client, io }, names, options) => runSocketInspect(client, io, names, options),
});

export async function runSocketInspect(
  client: Client,
  io: Io,
  names: readonly string[],
  options: SocketInspectOptions,
): Promise<number> {
  const found: string[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(JSON.stringify(await client.json<ScopedSocket>('GET', `/sockets/${pathSegment(name)}`)));
    } catch (error) {
      failures.push(failureMessage(error));
    }
  }
  printObjects(io, found, options.format);
  for (const failure of failures) printError(io, printableText(failure));
  return failures.length === 0 ? 0 : 1;
}
