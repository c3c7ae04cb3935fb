/** `mydock network rm`. */
import { type Client, pathSegment } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { failureMessage } from '../container/each.ts';
import { boolFlag } from '../flags/declare.ts';
import { printableText } from '../format/text.ts';
import { type Io, printError, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface NetworkRmOptions {
  force: boolean;
}

export const rm = defineVerb<NetworkRmOptions>({
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  summary: 'Remove networks that no running container is on',
  args: { min: 1 },
  flags(command) {
    boolFlag(command, '-f, --force', 'A network that does not exist is no error');
  },
  run: ({ client, io }, names, options) => runNetworkRm(client, io, names, options),
});

/** One after the other; what cannot be removed is told and the rest goes on. */
export async function runNetworkRm(
  client: Client,
  io: Io,
  names: readonly string[],
  { force }: NetworkRmOptions,
): Promise<number> {
  let code = 0;
  for (const name of names) {
    try {
      await client.json('DELETE', `/networks/${pathSegment(name)}`);
      printLine(io, name);
    } catch (error) {
      if (force && isNotFound(error)) continue;
      printError(io, printableText(failureMessage(error)));
      code = 1;
    }
  }
  return code;
}
