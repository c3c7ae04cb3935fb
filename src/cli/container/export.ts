/** `mydock export`: a container's file system as a tar archive. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { checkOutputFile, writeStream, writeStreamToFile } from '../terminal/write-stream.ts';
import { defineVerb } from '../verb.ts';
import { containerPath } from './lookup.ts';

export interface ExportOptions {
  output?: string;
}

export const exportContainer = defineVerb<ExportOptions>({
  usage: '[OPTIONS] CONTAINER',
  summary: "Write a container's file system as a tar archive",
  args: { min: 1, max: 1 },
  flags(command) {
    stringFlag(command, '-o, --output <string>', 'Write to this file, not to stdout');
  },
  run: ({ client, io }, [name = ''], options) => runExport(client, io, name, options),
});

export async function runExport(
  client: Client,
  io: Io,
  name: string,
  options: ExportOptions,
): Promise<number> {
  const output = options.output || undefined;
  if (output === undefined && io.stdout.isTTY === true) {
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  const path =
    output === undefined ? undefined : checkOutputFile(output, io.cwd, 'failed to export container');
  const archive = await client.stream('GET', containerPath(name, '/export'));
  await (path === undefined ? writeStream(archive, io.stdout) : writeStreamToFile(archive, path));
  return 0;
}
