/** `mydock save`: images as one tar archive. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { checkOutputFile, writeStream, writeStreamToFile } from '../terminal/write-stream.ts';
import { defineVerb } from '../verb.ts';
import { platformQuery } from './platform-query.ts';

export interface SaveOptions {
  output?: string;
  platform?: string;
}

export const save = defineVerb<SaveOptions>({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Write images to a tar archive',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-o, --output <string>', 'Write to this file, not to stdout');
    stringFlag(command, '--platform <string>', 'Save only what is for this platform (os[/arch[/variant]])');
  },
  run: ({ client, io }, names, options) => runSave(client, io, names, options),
});

export async function runSave(
  client: Client,
  io: Io,
  names: readonly string[],
  options: SaveOptions,
): Promise<number> {
  const output = options.output || undefined;
  if (output === undefined && io.stdout.isTTY === true) {
    throw new CliError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
  }
  const path = output === undefined ? undefined : checkOutputFile(output, io.cwd, 'failed to save image');
  const archive = await client.stream('GET', '/images/get', {
    query: { names, platform: platformQuery(options.platform) },
  });
  await (path === undefined ? writeStream(archive, io.stdout) : writeStreamToFile(archive, path));
  return 0;
}
