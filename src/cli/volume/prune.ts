/** `mydock volume prune`: removes volumes that no container has. */
import type { VolumePruneResponse } from '../../api/volumes.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { deletedList } from '../container/prune.ts';
import { boolFlag, parsedListFlag } from '../flags/declare.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printLine } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface VolumePruneOptions {
  all: boolean;
  filter: string[];
  force: boolean;
}

export const prune = defineVerb<VolumePruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove unused volumes',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Remove all unused volumes, not only anonymous ones');
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (label=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
  },
  run: ({ client, io }, _, options) => runVolumePrune(client, io, options),
});

/** Ends well also where the user says no. */
export async function runVolumePrune(client: Client, io: Io, options: VolumePruneOptions): Promise<number> {
  if (options.all && options.filter.some((filter) => /^\s*all\s*=/i.test(filter))) {
    throw new CliError('conflicting options: cannot specify both --all and --filter all=1');
  }
  const kind = options.all ? 'all' : 'anonymous';
  const warning = `WARNING! This will remove ${kind} local volumes not used by at least one container.`;
  if (!options.force && !(await confirm(io, warning))) return 0;
  const filter = options.all ? [...options.filter, 'all=true'] : options.filter;
  const answer = await client.json<VolumePruneResponse>('POST', '/volumes/prune', {
    query: { filters: filterQuery(filter) },
  });
  io.stdout.write(deletedList('Deleted Volumes:', answer.VolumesDeleted));
  printLine(io, `Total reclaimed space: ${humanSize(answer.SpaceReclaimed)}`);
  return 0;
}
