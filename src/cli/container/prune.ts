/** `mydock container prune`: removes every container that does not run. */
import type { ContainerPruneResponse } from '../../api/containers.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag, parsedListFlag } from '../flags/declare.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printLine } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface PruneOptions {
  filter: string[];
  force: boolean;
}

export const prune = defineVerb<PruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove all stopped containers',
  args: { min: 0, max: 0 },
  flags(command) {
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (until=…, label=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
  },
  run: ({ client, io }, _, options) => runPrune(client, io, options),
});

/** Ends well also where the user says no. */
export async function runPrune(client: Client, io: Io, options: PruneOptions): Promise<number> {
  const warning = 'WARNING! This will remove all stopped containers.';
  if (!options.force && !(await confirm(io, warning))) return 0;
  const answer = await client.json<ContainerPruneResponse>('POST', '/containers/prune', {
    query: { filters: filterQuery(options.filter) },
  });
  io.stdout.write(deletedList('Deleted Containers:', answer.ContainersDeleted));
  printLine(io, `Total reclaimed space: ${humanSize(answer.SpaceReclaimed)}`);
  return 0;
}

/** A heading, the names, an empty line; nothing where there are no names. */
export function deletedList(heading: string, names: readonly string[] | null | undefined): string {
  return names?.length ? `${[heading, ...names].join('\n')}\n\n` : '';
}
