/** `mydock volume import`: a tar archive into a volume, which is made where it is missing. */
import { resolve } from 'node:path';
import type { Volume } from '../../api/volumes.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { readFileStream } from '../image/load.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeImportOptions {
  merge: boolean;
}

export const importVolume = defineVerb<VolumeImportOptions>({
  usage: '[OPTIONS] VOLUME [FILE|-]',
  summary: 'Unpack a tar archive (also gzip, zstd) into a new or empty volume',
  args: { min: 1, max: 2 },
  flags(command) {
    boolFlag(command, '--merge', 'Unpack into a volume that has content; entries take the place of its own');
  },
  run: ({ client, io }, [name = '', file = '-'], options) => runVolumeImport(client, io, name, file, options),
});

export async function runVolumeImport(
  client: Client,
  io: Io,
  name: string,
  file: string,
  options: VolumeImportOptions,
): Promise<number> {
  if (file === '-' && io.stdin.isTTY === true) {
    throw new CliError('requested import from stdin, but stdin is a terminal');
  }
  const body = file === '-' ? io.stdin : await readFileStream(resolve(io.cwd, file), file);
  const volume = await client.json<Volume>('POST', `/volumes/${pathSegment(name)}/import`, {
    query: { merge: options.merge ? true : undefined },
    headers: { 'content-type': 'application/x-tar' },
    body,
  });
  printLine(io, volume.Name);
  return 0;
}
