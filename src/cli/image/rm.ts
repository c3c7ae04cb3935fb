/** `mydock rmi`: prints what was untagged and deleted. */
import type { ImageDeleteResponseItem } from '../../api/images.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { isNotFound } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { failureMessage } from '../container/each.ts';
import { boolFlag, listFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { platformQuery } from './platform-query.ts';

export interface RmiOptions {
  force: boolean;
  platform: string[];
  /** False with `--no-prune`. */
  prune: boolean;
}

export const rmi = defineVerb<RmiOptions>({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Remove images',
  args: { min: 1 },
  flags(command) {
    boolFlag(command, '-f, --force', 'Remove the image even where it has several names');
    boolFlag(command, '--no-prune', 'Keep parents that have no name');
    listFlag(command, '--platform <string>', 'Remove only what is for this platform (os[/arch[/variant]])');
  },
  run: ({ client, io }, names, options) => runRmi(client, io, names, options),
});

/** One after the other: an image may be the parent of the next. With `--force` a missing image is no failure. */
export async function runRmi(
  client: Client,
  io: Io,
  names: readonly string[],
  options: RmiOptions,
): Promise<number> {
  const failures: string[] = [];
  const platforms = options.platform
    .flatMap((list) => list.split(','))
    .flatMap((one) => platformQuery(one) ?? []);
  for (const name of names) {
    try {
      const items = await client.json<ImageDeleteResponseItem[]>('DELETE', `/images/${pathSegment(name)}`, {
        query: {
          force: options.force ? true : undefined,
          noprune: options.prune ? undefined : true,
          platforms,
        },
      });
      for (const item of items)
        printLine(io, item.Deleted ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`);
    } catch (error) {
      if (options.force && isNotFound(error)) printError(io, failureMessage(error));
      else failures.push(failureMessage(error));
    }
  }
  if (failures.length > 0) throw new CliError(failures.join('\n'));
  return 0;
}
