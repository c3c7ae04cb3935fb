/** `mydock import`: a tar of a file system becomes an image. */
import { resolve } from 'node:path';
import type { JSONMessage } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { listFlag, stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { parseReference } from '../options/reference.ts';
import { showProgress } from '../terminal/progress.ts';
import { defineVerb } from '../verb.ts';
import { readFileStream } from './load.ts';

export interface ImportOptions {
  change: string[];
  message?: string;
  platform?: string;
}

export const importImage = defineVerb<ImportOptions>({
  usage: '[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]',
  summary: 'Make an image of a tar of a file system',
  args: { min: 1, max: 2 },
  flags(command) {
    listFlag(command, '-c, --change <list>', 'Apply a Dockerfile instruction to the image');
    stringFlag(command, '-m, --message <string>', 'Message for the history');
    stringFlag(command, '--platform <string>', 'Platform of the image (os[/arch[/variant]])');
  },
  run: ({ client, io }, [source = '', name = ''], options) => runImport(client, io, source, name, options),
});

/** Prints the new image's ID. An address is fetched by the daemon. */
export async function runImport(
  client: Client,
  io: Io,
  source: string,
  name: string,
  options: ImportOptions,
): Promise<number> {
  if (name !== '') parseReference(name);
  const isUrl = /^https?:\/\//.test(source);
  const body = isUrl ? undefined : await openSource(io, source);
  const response = await client.stream('POST', '/images/create', {
    query: {
      fromSrc: isUrl ? source : '-',
      repo: name || undefined,
      message: options.message,
      changes: options.change,
      platform: options.platform,
    },
    headers: { 'content-type': 'application/x-tar' },
    ...(body === undefined ? {} : { body }),
  });
  await showProgress(jsonLines<JSONMessage>(response), io.stdout);
  return 0;
}

async function openSource(io: Io, source: string): Promise<AsyncIterable<Uint8Array>> {
  if (source !== '-') return await readFileStream(resolve(io.cwd, source), source);
  if (io.stdin.isTTY === true) throw new CliError('requested import from stdin, but stdin is a terminal');
  return io.stdin;
}
