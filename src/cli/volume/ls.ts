/** `mydock volume ls`. */
import type { Volume, VolumeListResponse } from '../../api/volumes.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag } from '../flags/declare.ts';
import { filterFlag, rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { labelText } from '../format/text.ts';
import { humanSize } from '../format/units.ts';
import { type Io, printError } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeLsOptions {
  filter: string[];
  format?: string;
  quiet: boolean;
}

export const ls = defineVerb<VolumeLsOptions>({
  usage: '[OPTIONS]',
  summary: 'List volumes',
  args: { min: 0, max: 0 },
  flags(command) {
    filterFlag(command);
    rowFormatFlag(command);
    boolFlag(command, '-q, --quiet', 'Show only names');
  },
  run: ({ client, io }, _, options) => runVolumeLs(client, io, options),
});

export async function runVolumeLs(client: Client, io: Io, options: VolumeLsOptions): Promise<number> {
  const { Volumes, Warnings } = await client.json<VolumeListResponse>('GET', '/volumes', {
    query: { filters: filterQuery(options.filter) },
  });
  for (const warning of Warnings ?? []) printError(io, `WARNING: ${warning}`);
  const rows = (Volumes ?? []).toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
  const byDefault = options.quiet ? '{{.Name}}' : 'table {{.Driver}}\\t{{.Name}}';
  printRows(io, VOLUMES, rows, options.format, byDefault);
  return 0;
}

/** Fields in alphabetical order, as JSON output has them; what only cluster volumes have is `N/A`. */
export const VOLUMES: RowKind<Volume> = {
  typeName: 'volumeContext',
  fields: {
    Availability: { heading: 'AVAILABILITY', value: () => 'N/A' },
    Driver: { heading: 'DRIVER', value: (row) => row.Driver },
    Group: { heading: 'GROUP', value: () => 'N/A' },
    Labels: { heading: 'LABELS', value: (row) => labelText(row.Labels) },
    Links: { heading: 'LINKS', value: ({ UsageData }) => known(UsageData?.RefCount, String) },
    Mountpoint: { heading: 'MOUNTPOINT', value: (row) => row.Mountpoint },
    Name: { heading: 'VOLUME NAME', value: (row) => row.Name },
    Scope: { heading: 'SCOPE', value: (row) => row.Scope },
    Size: { heading: 'SIZE', value: ({ UsageData }) => known(UsageData?.Size, humanSize) },
    Status: { heading: 'STATUS', value: () => 'N/A' },
  },
  methods: { Label: (row, key) => row.Labels?.[key] ?? '' },
};

/** Only `system df` measures; -1 is not known. */
function known(figure: number | undefined, text: (figure: number) => string): string {
  return figure === undefined || figure < 0 ? 'N/A' : text(figure);
}
