/** `mydock volume create`: prints the new volume's name. */
import type { Volume } from '../../api/volumes.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { listFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { keyValueMap } from '../options/environment.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeCreateOptions {
  driver: string;
  label: string[];
  name?: string;
  opt: string[];
}

export const create = defineVerb<VolumeCreateOptions>({
  usage: '[OPTIONS] [VOLUME]',
  summary: 'Create a volume',
  args: { min: 0, max: 1 },
  flags(command) {
    stringFlag(command, '-d, --driver <string>', 'Volume driver', 'local');
    listFlag(command, '--label <list>', 'Set a label');
    stringFlag(command, '--name <string>', "The volume's name");
    listFlag(command, '-o, --opt <map>', 'Option of the driver');
  },
  run: ({ client, io }, [name], options) => runVolumeCreate(client, io, name, options),
});

export async function runVolumeCreate(
  client: Client,
  io: Io,
  name: string | undefined,
  options: VolumeCreateOptions,
): Promise<number> {
  if (name !== undefined && options.name !== undefined) {
    throw new CliError(
      'conflicting options: cannot specify a volume-name through both --name and as a positional arg',
    );
  }
  const volume = await client.json<Volume>('POST', '/volumes/create', {
    json: {
      Name: name ?? options.name ?? '',
      Driver: options.driver,
      DriverOpts: keyValueMap(options.opt),
      Labels: keyValueMap(options.label),
    },
  });
  printLine(io, volume.Name);
  return 0;
}
