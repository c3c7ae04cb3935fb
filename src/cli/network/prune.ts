/** `mydock network prune`: removes every user-defined network that no running container is on. */
import type { NetworkPruneResponse } from '../../api/networks.ts';
import type { Client } from '../../client/client.ts';
import { deletedList } from '../container/prune.ts';
import { boolFlag, parsedListFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface NetworkPruneOptions {
  filter: string[];
  force: boolean;
}

export const prune = defineVerb<NetworkPruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove all unused networks',
  args: { min: 0, max: 0 },
  flags(command) {
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (until=…, label=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
  },
  run: ({ client, io }, _, options) => runNetworkPrune(client, io, options),
});

/** Ends well also where the user says no. */
export async function runNetworkPrune(client: Client, io: Io, options: NetworkPruneOptions): Promise<number> {
  const warning = 'WARNING! This will remove all custom networks not used by at least one container.';
  if (!options.force && !(await confirm(io, warning))) return 0;
  const answer = await client.json<NetworkPruneResponse>('POST', '/networks/prune', {
    query: { filters: filterQuery(options.filter) },
  });
  io.stdout.write(deletedList('Deleted Networks:', answer.NetworksDeleted));
  return 0;
}
