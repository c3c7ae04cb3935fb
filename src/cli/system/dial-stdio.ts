/** `mydock system dial-stdio`: joins stdin and stdout with the daemon's socket, for clients that come over ssh. */
import type { Client } from '../../client/client.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';

export const dialStdio = defineVerb<Record<string, never>>({
  usage: '',
  summary: "Join stdin and stdout with the daemon's socket",
  args: { min: 0, max: 0 },
  flags() {},
  run: ({ client, io }) => runDialStdio(client, io),
});

/** Ends when the daemon has closed its side and everything is written; the end of stdin is passed on. */
export async function runDialStdio(client: Client, io: Io): Promise<number> {
  const stream = await client.dial();
  return await new Promise((resolve, reject) => {
    stream.once('error', reject);
    stream.once('end', () => resolve(0));
    stream.pipe(io.stdout, { end: false });
    io.stdin.pipe(stream);
  });
}
