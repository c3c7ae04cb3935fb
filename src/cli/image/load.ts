/** `mydock load`: images from a tar archive. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { JSONMessage } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { fileError } from '../options/input-file.ts';
import { showProgress } from '../terminal/progress.ts';
import { defineVerb } from '../verb.ts';
import { platformQuery } from './platform-query.ts';

export interface LoadOptions {
  input?: string;
  platform?: string;
  quiet: boolean;
}

export const load = defineVerb<LoadOptions>({
  usage: '[OPTIONS]',
  summary: 'Load images from a tar archive or stdin',
  args: { min: 0, max: 0 },
  flags(command) {
    stringFlag(command, '-i, --input <string>', 'Read this file, not stdin');
    stringFlag(command, '--platform <string>', 'Load only what is for this platform (os[/arch[/variant]])');
    boolFlag(command, '-q, --quiet', 'Leave out the progress of layers');
  },
  run: ({ client, io }, _, options) => runLoad(client, io, options),
});

export async function runLoad(client: Client, io: Io, options: LoadOptions): Promise<number> {
  const platform = platformQuery(options.platform);
  const body = await openArchive(io, options.input || undefined);
  const response = await client.stream('POST', '/images/load', {
    // Progress is drawn; lines of it would say nothing in a file.
    query: { quiet: options.quiet || io.stdout.isTTY !== true, platform },
    headers: { 'content-type': 'application/x-tar' },
    body,
  });
  await showProgress(jsonLines<JSONMessage>(response), io.stdout);
  return 0;
}

async function openArchive(io: Io, input: string | undefined): Promise<AsyncIterable<Uint8Array>> {
  if (input === undefined) {
    if (io.stdin.isTTY === true) throw new CliError('requested load from stdin, but stdin is empty');
    return io.stdin;
  }
  return await readFileStream(resolve(io.cwd, input), input);
}

/** Fails at once where the file cannot be opened. `shown` is as the user named it. */
export async function readFileStream(path: string, shown: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    const handle = await open(path, 'r');
    return createReadStream(path, { fd: handle, highWaterMark: 1 << 20 });
  } catch (cause) {
    throw new CliError(fileError('open', shown, cause).message);
  }
}
