/** `mydock commit`: makes an image of a container's changes. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, listFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { parseReference } from '../options/reference.ts';
import { defineVerb } from '../verb.ts';

export interface CommitOptions {
  author?: string;
  change: string[];
  message?: string;
  pause: boolean;
}

export const commit = defineVerb<CommitOptions>({
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  summary: "Make an image of a container's changes",
  args: { min: 1, max: 2 },
  flags(command) {
    stringFlag(command, '-a, --author <string>', 'Author of the image (Ada Lovelace <ada@example.com>)');
    listFlag(command, '-c, --change <list>', 'Apply a Dockerfile instruction to the image');
    stringFlag(command, '-m, --message <string>', 'Message for the history');
    boolFlag(command, '-p, --pause', 'Pause the container meanwhile', true);
  },
  run: ({ client, io }, [name = '', image = ''], options) => runCommit(client, io, name, image, options),
});

/** Prints the new image's ID. */
export async function runCommit(
  client: Client,
  io: Io,
  name: string,
  image: string,
  options: CommitOptions,
): Promise<number> {
  const reference = image === '' ? undefined : parseReference(image);
  if (reference?.digest !== undefined) throw new CliError('refusing to create a tag with a digest reference');
  const { Id } = await client.json<{ Id: string }>('POST', '/commit', {
    query: {
      container: name,
      repo: reference?.familiar.replace(/:[^:/]*$/, ''),
      tag: reference?.tag,
      author: options.author,
      comment: options.message,
      changes: options.change,
      pause: options.pause ? undefined : false,
    },
    json: null,
  });
  printLine(io, Id);
  return 0;
}
