/** `mydock volume update`: there is nothing to update in volumes of one host, and it says so. */
import type { Volume } from '../../api/volumes.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeUpdateOptions {
  availability: string;
}

export const update = defineVerb<VolumeUpdateOptions>({
  usage: '[OPTIONS] VOLUME',
  summary: 'Update a cluster volume',
  args: { min: 1, max: 1 },
  flags(command) {
    stringFlag(command, '--availability <string>', 'Availability of the cluster volume', 'active');
  },
  run: ({ client }, [name = '']) => runVolumeUpdate(client, name),
});

/** Throws: ApiError for a volume that does not exist, CliError for one that does. */
export async function runVolumeUpdate(client: Client, name: string): Promise<number> {
  await client.json<Volume>('GET', `/volumes/${pathSegment(name)}`);
  throw new CliError('can only update cluster volumes');
}
