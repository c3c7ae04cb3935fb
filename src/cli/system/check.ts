/** `mydock system check`: verifies the stores against the database and repairs them on demand. */
import type { SystemCheckFinding, SystemCheckMessage, SystemCheckSummary } from '../../api/system.ts';
import type { Client } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface CheckOptions {
  quick: boolean;
  repair: boolean;
}

export const check = defineVerb<CheckOptions>({
  usage: '[OPTIONS]',
  summary: 'Verify images, layers, containers, volumes and the database',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(command, '--quick', 'Do not read contents: find what is missing, not what is damaged');
    boolFlag(command, '--repair', 'Mend what can be mended');
  },
  run: ({ client, io }, _, options) => runCheck(client, io, options),
});

/** Returns 0 when all is well or was repaired, 1 when something is wrong. */
export async function runCheck(client: Client, io: Io, options: CheckOptions): Promise<number> {
  const response = await client.stream('POST', '/system/check', {
    query: { quick: options.quick || undefined, repair: options.repair || undefined },
  });
  let summary: SystemCheckSummary | undefined;
  const findings: SystemCheckFinding[] = [];
  for await (const message of jsonLines<SystemCheckMessage>(response)) {
    if (message.error !== undefined) throw new CliError(message.error);
    if (message.Checked !== undefined) summary = message.Checked;
    if (message.Finding === undefined) continue;
    findings.push(message.Finding);
    printLine(io, findingText(message.Finding, options.repair));
  }
  if (summary === undefined) throw new CliError('the daemon ended the check before its end');
  printLine(io, summaryText(summary, findings));
  return findings.every(({ Repaired }) => Repaired) ? 0 : 1;
}

function findingText(
  { Object: object, Problem, Remedy, Repaired }: SystemCheckFinding,
  repair: boolean,
): string {
  const remedy = Repaired
    ? `repaired: ${Remedy}`
    : repair
      ? `not repaired: ${Remedy}`
      : `to repair: ${Remedy}`;
  return `${object}: ${Problem}\n  ${remedy}`;
}

function summaryText(checked: SystemCheckSummary, findings: readonly SystemCheckFinding[]): string {
  const counts = Object.entries(checked).map(([name, count]) => `${count} ${name.toLowerCase()}`);
  const repaired = findings.filter(({ Repaired }) => Repaired).length;
  const problems = findings.length === 1 ? '1 problem' : `${findings.length} problems`;
  const outcome = findings.length === 0 ? 'no problems' : `${problems}, ${repaired} repaired`;
  const hint =
    repaired < findings.length ? '\nRun "mydock system check --repair" to mend what can be mended.' : '';
  return `Checked ${counts.join(', ')}: ${outcome}.${repaired === 0 ? hint : ''}`;
}
