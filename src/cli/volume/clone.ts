/** `mydock volume clone`: a new volume with the content of another. */
import type { Volume } from '../../api/volumes.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { listFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { keyValueMap } from '../options/environment.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeCloneOptions {
  label: string[];
}

export const clone = defineVerb<VolumeCloneOptions>({
  usage: '[OPTIONS] VOLUME NEW_VOLUME',
  summary: 'Make a volume with the content of another, shared where the file system can',
  args: { min: 2, max: 2 },
  flags(command) {
    listFlag(command, '--label <list>', 'Set a label on the new volume');
  },
  run: ({ client, io }, [name = '', newName = ''], options) =>
    runVolumeClone(client, io, { name, newName }, options),
});

export async function runVolumeClone(
  client: Client,
  io: Io,
  { name, newName }: { name: string; newName: string },
  options: VolumeCloneOptions,
): Promise<number> {
  const volume = await client.json<Volume>('POST', `/volumes/${pathSegment(name)}/clone`, {
    json: { Name: newName, Labels: keyValueMap(options.label) },
  });
  printLine(io, volume.Name);
  return 0;
}
