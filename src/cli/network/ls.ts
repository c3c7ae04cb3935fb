/** `mydock network ls`. */
import type { Network } from '../../api/networks.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag } from '../flags/declare.ts';
import { filterFlag, rowFormatFlag } from '../flags/list-flags.ts';
import { naturalOrder } from '../format/natural-order.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { labelText, shortId } from '../format/text.ts';
import { goTime } from '../format/units.ts';
import type { Io } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface NetworkLsOptions {
  filter: string[];
  format?: string;
  quiet: boolean;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const ls = defineVerb<NetworkLsOptions>({
  usage: '[OPTIONS]',
  summary: 'List networks',
  args: { min: 0, max: 0 },
  flags(command) {
    filterFlag(command);
    rowFormatFlag(command);
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
    boolFlag(command, '-q, --quiet', 'Show only IDs');
  },
  run: ({ client, io }, _, options) => runNetworkLs(client, io, options),
});

export async function runNetworkLs(client: Client, io: Io, options: NetworkLsOptions): Promise<number> {
  const networks = await client.json<Network[]>('GET', '/networks', {
    query: { filters: filterQuery(options.filter) },
  });
  const rows = networks.toSorted((a, b) => naturalOrder(a.Name, b.Name));
  const byDefault = options.quiet ? '{{.ID}}' : 'table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}';
  printRows(io, networkKind(options.trunc), rows, options.format, byDefault);
  return 0;
}

/** Fields in alphabetical order, as JSON output has them. */
function networkKind(trunc: boolean): RowKind<Network> {
  return {
    typeName: 'networkContext',
    fields: {
      CreatedAt: { heading: 'CREATED AT', value: (row) => createdAt(row.Created) },
      Driver: { heading: 'DRIVER', value: (row) => row.Driver },
      ID: { heading: 'NETWORK ID', value: (row) => (trunc ? shortId(row.Id) : row.Id) },
      IPv4: { heading: 'IPV4', value: (row) => String(row.EnableIPv4 ?? false) },
      IPv6: { heading: 'IPV6', value: (row) => String(row.EnableIPv6) },
      Internal: { heading: 'INTERNAL', value: (row) => String(row.Internal) },
      Labels: { heading: 'LABELS', value: (row) => labelText(row.Labels) },
      Name: { heading: 'NAME', value: (row) => row.Name },
      Scope: { heading: 'SCOPE', value: (row) => row.Scope },
    },
    methods: { Label: (row, key) => row.Labels?.[key] ?? '' },
  };
}

/** RFC 3339 as Go prints a time: the fraction keeps its digits. */
function createdAt(text: string): string {
  const fraction = /\.(\d+)/.exec(text)?.[1]?.replace(/0+$/, '') ?? '';
  const [date = '', time = '', ...zone] = goTime(Date.parse(text)).split(' ');
  return [date, fraction === '' ? time : `${time}.${fraction}`, ...zone].join(' ');
}
