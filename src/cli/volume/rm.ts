/** `mydock volume rm`. */
import { type Client, pathSegment } from '../../client/client.ts';
import { forEachName } from '../container/each.ts';
import { boolFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeRmOptions {
  force: boolean;
}

export const rm = defineVerb<VolumeRmOptions>({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  summary: 'Remove volumes that no container uses',
  args: { min: 1 },
  flags(command) {
    boolFlag(command, '-f, --force', 'A volume that does not exist is no error');
  },
  run: ({ client, io }, names, options) => runVolumeRm(client, io, names, options),
});

export function runVolumeRm(
  client: Client,
  io: Io,
  names: readonly string[],
  options: VolumeRmOptions,
): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('DELETE', `/volumes/${pathSegment(name)}`, {
      query: { force: options.force ? true : undefined },
    });
    return name;
  });
}
