/** `mydock socket ls`. */
import type { ScopedSocket } from '../../api/sockets.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag } from '../flags/declare.ts';
import { rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface SocketLsOptions {
  format?: string;
  quiet: boolean;
}

export const ls = defineVerb<SocketLsOptions>({
  usage: '[OPTIONS]',
  summary: 'List scoped sockets',
  args: { min: 0, max: 0 },
  flags(command) {
    rowFormatFlag(command);
    boolFlag(command, '-q, --quiet', 'Show only names');
  },
  run: ({ client, io }, _, options) => runSocketLs(client, io, options),
});

export async function runSocketLs(client: Client, io: Io, options: SocketLsOptions): Promise<number> {
  const sockets = await client.json<ScopedSocket[]>('GET', '/sockets');
  const rows = sockets.toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
  const byDefault = options.quiet
    ? '{{.Name}}'
    : 'table {{.Name}}\\t{{.Path}}\\t{{.Access}}\\t{{.Labels}}\\t{{.Status}}';
  printRows(io, SOCKETS, rows, options.format, byDefault);
  return 0;
}

const SOCKETS: RowKind<ScopedSocket> = {
  typeName: 'socketContext',
  fields: {
    Access: { heading: 'ACCESS', value: access },
    Labels: { heading: 'LABELS', value: ({ Labels }) => Labels.join(',') },
    Mode: { heading: 'MODE', value: ({ Mode }) => Mode },
    Name: { heading: 'NAME', value: ({ Name }) => Name },
    Path: { heading: 'PATH', value: ({ Path }) => Path },
    Status: {
      heading: 'STATUS',
      value: ({ Error: error }) => (error === '' ? 'served' : `not served: ${error}`),
    },
  },
};

function access({ ReadOnly, Allow }: ScopedSocket): string {
  return [...(ReadOnly ? ['read-only'] : []), ...Allow].join(',');
}
