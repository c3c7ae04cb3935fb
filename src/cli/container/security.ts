/** `mydock inspect --security`: what containers can and cannot do, the gravest first. */
import type { ContainerSecurity, SecurityFinding } from '../../api/security.ts';
import type { Client } from '../../client/client.ts';
import { printObjects } from '../format/objects.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { printableText } from '../format/text.ts';
import { type Io, printError, printLine } from '../io.ts';
import { failureMessage } from './each.ts';
import { containerPath } from './lookup.ts';

/** `format` as for inspect: `json` or a template; undefined for a table. */
export async function runSecurity(
  client: Client,
  io: Io,
  names: readonly string[],
  format: string | undefined,
): Promise<number> {
  const found: ContainerSecurity[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(await client.json<ContainerSecurity>('GET', containerPath(name, '/security')));
    } catch (error) {
      failures.push(failureMessage(error));
    }
  }
  if (format !== undefined)
    printObjects(
      io,
      found.map((one) => JSON.stringify(one)),
      format,
    );
  else for (const [index, one] of found.entries()) printStatement(io, one, index > 0);
  for (const failure of failures) printError(io, printableText(failure));
  return failures.length === 0 ? 0 : 1;
}

function printStatement(io: Io, security: ContainerSecurity, gap: boolean): void {
  if (gap) printLine(io, '');
  const { Name, Id, Level, Running } = security;
  const state = Running ? 'runs' : 'does not run: as its next run will be asked for';
  printLine(io, `${Name} (${Id.slice(0, 12)}), ${state}: ${Level}`);
  const byDefault = 'table {{.Level}}\\t{{.Topic}}\\t{{.Finding}}\\t{{.Reason}}';
  printRows(io, FINDINGS, security.Findings, undefined, byDefault);
}

const FINDINGS: RowKind<SecurityFinding> = {
  typeName: 'securityContext',
  fields: {
    Finding: { heading: 'FINDING', value: (row) => printableText(row.Finding) },
    Level: { heading: 'LEVEL', value: ({ Level }) => Level },
    Reason: { heading: 'WHY', value: ({ Reason }) => Reason },
    Topic: { heading: 'TOPIC', value: ({ Topic }) => Topic },
  },
};
