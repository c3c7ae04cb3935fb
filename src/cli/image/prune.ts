/** `mydock image prune`: removes images that nothing needs. */
import type { ImageDeleteResponseItem, ImagePruneResponse } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { deletedList } from '../container/prune.ts';
import { boolFlag, parsedListFlag } from '../flags/declare.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printLine } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface ImagePruneOptions {
  all: boolean;
  filter: string[];
  force: boolean;
}

export const prune = defineVerb<ImagePruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove unused images',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Remove all unused images, not only those without a name');
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (until=…, label=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
  },
  run: ({ client, io }, _, options) => runImagePrune(client, io, options),
});

/** Ends well also where the user says no. */
export async function runImagePrune(client: Client, io: Io, options: ImagePruneOptions): Promise<number> {
  const what = options.all
    ? 'all images without at least one container associated to them'
    : 'all dangling images';
  if (!options.force && !(await confirm(io, `WARNING! This will remove ${what}.`))) return 0;
  const answer = await client.json<ImagePruneResponse>('POST', '/images/prune', {
    query: { filters: filterQuery([...options.filter, `dangling=${!options.all}`]) },
  });
  io.stdout.write(prunedImages(answer.ImagesDeleted));
  printLine(io, `Total reclaimed space: ${humanSize(answer.SpaceReclaimed)}`);
  return 0;
}

/** The list of what went, under its heading; nothing where nothing did. */
export function prunedImages(items: readonly ImageDeleteResponseItem[] | null | undefined): string {
  const line = (item: ImageDeleteResponseItem): string =>
    item.Untagged ? `untagged: ${item.Untagged}` : `deleted: ${item.Deleted}`;
  return deletedList('Deleted Images:', items?.map(line));
}
