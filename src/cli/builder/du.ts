/** `mydock builder du`: what the build cache holds. */
import type { BuildCacheRecord, DiskUsage } from '../../api/system.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, parsedListFlag, stringFlag } from '../flags/declare.ts';
import { rowsText } from '../format/rows.ts';
import { ellipsis } from '../format/text.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printLine } from '../io.ts';
import { splitPair } from '../options/environment.ts';
import { parseFilter } from '../options/filter.ts';
import { cacheRows } from '../system/df.ts';
import { defineVerb } from '../verb.ts';

export interface BuilderDuOptions {
  filter: string[];
  format?: string;
  verbose: boolean;
}

const TABLE =
  'table {{.ID}}\\t{{.CacheType}}\\t{{.Size}}\\t{{.LastUsedSince}}\\t{{.UsageCount}}\\t{{.Shared}}\\t{{.Description}}';

export const du = defineVerb<BuilderDuOptions>({
  usage: '[OPTIONS]',
  summary: 'Show the build cache',
  args: { min: 0, max: 0 },
  flags(command) {
    parsedListFlag(command, '--filter <filter>', 'Show only what matches (id=, type=, inuse=…)', parseFilter);
    stringFlag(command, '--format <string>', 'Output as "table", "table TEMPLATE", "json" or a Go template');
    boolFlag(command, '--verbose', 'Do not shorten');
  },
  run: ({ client, io }, _, options) => runBuilderDu(client, io, options),
});

export async function runBuilderDu(client: Client, io: Io, options: BuilderDuOptions): Promise<number> {
  const usage = await client.json<Partial<DiskUsage>>('GET', '/system/df', {
    query: { type: 'build-cache' },
  });
  const records = (usage.BuildCache ?? []).filter((record) => options.filter.every(matcher(record)));
  const shown = options.verbose ? records : records.map(shortened);
  io.stdout.write(rowsText(cacheRows(io.now(), !options.verbose), shown, options.format, TABLE));
  if (options.format !== undefined && options.format !== 'table') return 0;
  const sum = (counted: readonly BuildCacheRecord[]): string =>
    humanSize(counted.reduce((total, { Size }) => total + Size, 0));
  const shared = records.filter(({ Shared }) => Shared);
  printLine(io, '');
  if (shared.length > 0) printLine(io, `Shared with images:\t${sum(shared)}`);
  printLine(io, `Reclaimable:\t${sum(records.filter(({ InUse, Shared }) => !InUse && !Shared))}`);
  printLine(io, `Total:\t${sum(records)}`);
  return 0;
}

function shortened(record: BuildCacheRecord): BuildCacheRecord {
  return { ...record, Description: ellipsis(record.Description ?? '', 60) };
}

/** All filters must hold; `description` and `type` are compared as they are, IDs by their beginning. */
function matcher(record: BuildCacheRecord): (filter: string) => boolean {
  return (filter) => {
    const [name, value] = splitPair(filter);
    switch (name.trim()) {
      case 'id':
        return record.ID.startsWith(value);
      case 'type':
        return record.Type === value;
      case 'description':
        return (record.Description ?? '').includes(value);
      case 'inuse':
        return String(record.InUse) === value;
      case 'shared':
        return String(record.Shared) === value;
      case 'private':
        return String(!record.Shared) === value;
      default:
        throw new CliError(`invalid filter "${name}": use id, type, description, inuse, shared or private`);
    }
  };
}
