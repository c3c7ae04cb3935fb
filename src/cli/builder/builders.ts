/** `buildx ls`, `inspect` and `version`, for scripts that ask: there is one builder, in the daemon. */
import { MYDOCK_VERSION } from '../../base/version.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { alignTable } from '../format/table.ts';
import { printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

const NAME = 'default';

interface DaemonVersion {
  readonly Version: string;
  readonly Os: string;
  readonly Arch: string;
}

export const ls = defineVerb<{ format?: string }>({
  usage: '[OPTIONS]',
  summary: 'List builders',
  args: { min: 0, max: 0 },
  flags(command) {
    stringFlag(command, '--format <string>', 'Output as "table" or "json"');
  },
  async run({ client, io }, _, { format = 'table' }) {
    const { version, platform } = await facts(client);
    if (format === 'json') {
      printLine(
        io,
        JSON.stringify({
          Current: true,
          Driver: 'docker',
          Name: NAME,
          Nodes: [{ Name: NAME, Platforms: [platform], Status: 'running', Version: version }],
        }),
      );
      return 0;
    }
    if (format !== 'table')
      throw new CliError(`invalid argument "${format}" for "--format" flag: use table or json`);
    const head = 'NAME/NODE\tDRIVER/ENDPOINT\tSTATUS\tBUILDKIT\tPLATFORMS';
    const rows = [`${NAME}*\tdocker\t\t\t`, ` \\_ ${NAME}\t \\_ ${NAME}\trunning\t${version}\t${platform}`];
    io.stdout.write(alignTable([head, ...rows]));
    return 0;
  },
});

export const inspect = defineVerb<{ bootstrap: boolean }>({
  usage: '[NAME]',
  summary: 'Show a builder',
  args: { min: 0, max: 1 },
  flags(command) {
    boolFlag(command, '--bootstrap', 'Accepted: the builder runs whenever the daemon does');
  },
  async run({ client, io }, [name = NAME]) {
    if (name !== NAME) throw new CliError(`no builder "${name}" found: there is one, "${NAME}"`);
    const { version, platform } = await facts(client);
    const lines = [
      `Name:   ${NAME}`,
      'Driver: docker',
      '',
      'Nodes:',
      `Name:             ${NAME}`,
      `Endpoint:         ${NAME}`,
      'Status:           running',
      `BuildKit version: ${version}`,
      `Platforms:        ${platform}`,
    ];
    for (const line of lines) printLine(io, line);
    return 0;
  },
});

export const version = defineVerb<Record<string, never>>({
  usage: '',
  summary: 'Show the version',
  args: { min: 0, max: 0 },
  flags: () => {},
  async run({ io }) {
    printLine(io, `mydock buildx v${MYDOCK_VERSION}`);
    return 0;
  },
});

async function facts(client: Client): Promise<{ version: string; platform: string }> {
  const { Version, Os, Arch } = await client.json<DaemonVersion>('GET', '/version');
  return { version: Version, platform: `${Os}/${Arch}` };
}
