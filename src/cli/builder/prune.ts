/** `mydock builder prune`: makes the build cache smaller. */
import type { Client } from '../../client/client.ts';
import { deletedList } from '../container/prune.ts';
import { boolFlag, flagAlias, parsedFlag, parsedListFlag } from '../flags/declare.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printLine } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { parseBytes } from '../options/quantity.ts';
import { defineVerb } from '../verb.ts';

export interface BuilderPruneOptions {
  all: boolean;
  filter: string[];
  force: boolean;
  maxUsedSpace?: number;
  minFreeSpace?: number;
  reservedSpace?: number;
}

interface BuildPruneAnswer {
  readonly CachesDeleted?: readonly string[] | null;
  readonly SpaceReclaimed?: number;
}

export const prune = defineVerb<BuilderPruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove build cache',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(
      command,
      '-a, --all',
      'Remove all that no build uses right now, not only what images do not have',
    );
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (until=24h, type=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
    parsedFlag(command, '--max-used-space <bytes>', 'What the cache may have afterwards', parseBytes);
    parsedFlag(command, '--min-free-space <bytes>', 'What the disk is to have free afterwards', parseBytes);
    parsedFlag(command, '--reserved-space <bytes>', 'Cache that stays in any case', parseBytes);
    flagAlias(command, '--keep-storage', '--reserved-space');
    boolFlag(command, '--verbose', 'Accepted: all that goes is always listed');
  },
  run: ({ client, io }, _, options) => runBuilderPrune(client, io, options),
});

/** Ends well also where the user says no. */
export async function runBuilderPrune(client: Client, io: Io, options: BuilderPruneOptions): Promise<number> {
  const what = options.all ? 'all build cache' : 'all dangling build cache';
  if (!options.force && !(await confirm(io, `WARNING! This will remove ${what}.`))) return 0;
  const answer = await client.json<BuildPruneAnswer>('POST', '/build/prune', {
    query: {
      all: options.all ? true : undefined,
      filters: filterQuery(options.filter),
      'reserved-space': options.reservedSpace,
      'max-used-space': options.maxUsedSpace,
      'min-free-space': options.minFreeSpace,
    },
  });
  io.stdout.write(deletedList('Deleted build cache objects:', [...(answer.CachesDeleted ?? [])]));
  printLine(io, `Total reclaimed space: ${humanSize(answer.SpaceReclaimed ?? 0)}`);
  return 0;
}
