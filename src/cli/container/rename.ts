/** `mydock rename`. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { failureMessage } from './each.ts';
import { containerPath } from './lookup.ts';

export const rename = defineVerb<Record<string, never>>({
  usage: 'CONTAINER NEW_NAME',
  summary: 'Give a container another name',
  args: { min: 2, max: 2 },
  flags() {},
  run: ({ client, io }, [from = '', to = '']) => runRename(client, io, from.trim(), to.trim()),
});

export async function runRename(client: Client, _io: Io, from: string, to: string): Promise<number> {
  if (from === '' || to === '') throw new CliError('Error: Neither old nor new names may be empty');
  try {
    await client.json('POST', containerPath(from, '/rename'), { query: { name: to } });
  } catch (error) {
    throw new CliError(`${failureMessage(error)}\nError: failed to rename container named ${from}`);
  }
  return 0;
}
