/** `mydock rm`. */
import type { Client } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { type Io, printError } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { failureMessage, forEachName } from './each.ts';
import { containerPath } from './lookup.ts';

export interface RmOptions {
  force: boolean;
  link: boolean;
  volumes: boolean;
}

export const rm = defineVerb<RmOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Remove containers',
  args: { min: 1 },
  flags(command) {
    boolFlag(command, '-f, --force', 'Kill the container first where it runs');
    boolFlag(command, '-l, --link', 'Remove the link, not the container');
    boolFlag(command, '-v, --volumes', 'Remove its anonymous volumes too');
  },
  run: ({ client, io }, names, options) => runRm(client, io, names, options),
});

/** With `--force` a container that does not exist is reported, and is no failure. */
export function runRm(client: Client, io: Io, names: readonly string[], options: RmOptions): Promise<number> {
  return forEachName(io, names, async (name) => {
    const path = containerPath(name.replace(/^\/+/, ''));
    try {
      await client.json('DELETE', path, {
        query: {
          v: options.volumes ? true : undefined,
          link: options.link ? true : undefined,
          force: options.force ? true : undefined,
        },
      });
    } catch (error) {
      if (!options.force || !isNotFound(error)) throw error;
      printError(io, failureMessage(error));
      return null;
    }
    return name;
  });
}
