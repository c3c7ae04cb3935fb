/** `mydock volume export`: a volume as a tar archive, also while containers use it. */
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { checkOutputFile, writeStream, writeStreamToFile } from '../terminal/write-stream.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeExportOptions {
  compress: string;
  output?: string;
}

export const exportVolume = defineVerb<VolumeExportOptions>({
  usage: '[OPTIONS] VOLUME',
  summary: 'Write a volume as a tar archive',
  args: { min: 1, max: 1 },
  flags(command) {
    stringFlag(command, '--compress <string>', 'Compress the archive ("none", "gzip", "zstd")', 'none');
    stringFlag(command, '-o, --output <string>', 'Write to this file, not to stdout ("-")');
  },
  run: ({ client, io }, [name = ''], options) => runVolumeExport(client, io, name, options),
});

export async function runVolumeExport(
  client: Client,
  io: Io,
  name: string,
  options: VolumeExportOptions,
): Promise<number> {
  const output = options.output === '-' ? undefined : options.output || undefined;
  if (output === undefined && io.stdout.isTTY === true) {
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  const path = output === undefined ? undefined : checkOutputFile(output, io.cwd, 'failed to export volume');
  const archive = await client.stream('POST', `/volumes/${pathSegment(name)}/export`, {
    query: { compress: options.compress === 'none' ? undefined : options.compress },
  });
  await (path === undefined ? writeStream(archive, io.stdout) : writeStreamToFile(archive, path));
  return 0;
}
