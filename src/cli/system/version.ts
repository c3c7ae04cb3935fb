/** `mydock version`: the client's and the daemon's. */
import type { SystemVersion } from '../../api/system.ts';
import { API_VERSION } from '../../api/version.ts';
import { MYDOCK_VERSION } from '../../base/version.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { failureMessage } from '../container/each.ts';
import { stringFlag } from '../flags/declare.ts';
import { formatValue } from '../format/objects.ts';
import { GoStruct, goValue, type Value } from '../format/template/values.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface VersionOptions {
  format?: string;
}

export const version = defineVerb<VersionOptions>({
  usage: '[OPTIONS]',
  summary: 'Show the versions of the client and of the daemon',
  args: { min: 0, max: 0 },
  flags(command) {
    stringFlag(command, '-f, --format <string>', 'Output as "json" or a Go template');
  },
  run: ({ client, io }, _, options) => runVersion(client, io, options),
});

interface ClientVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly DefaultAPIVersion: string;
  readonly NodeVersion: string;
  readonly Os: string;
  readonly Arch: string;
}

const ARCHITECTURES: Record<string, string> = { x64: 'amd64', ia32: '386' };

/** The client's half is printed also where no daemon answers; then the exit code is 1. */
export async function runVersion(client: Client, io: Io, options: VersionOptions): Promise<number> {
  let server: SystemVersion | undefined;
  let failure: unknown;
  try {
    server = await client.json<SystemVersion>('GET', '/version');
  } catch (error) {
    failure = error;
  }
  const own: ClientVersion = {
    Version: MYDOCK_VERSION,
    ApiVersion: client.apiVersion,
    DefaultAPIVersion: API_VERSION,
    NodeVersion: process.version,
    Os: process.platform,
    Arch: ARCHITECTURES[process.arch] ?? process.arch,
  };
  if (options.format) printLine(io, formatValue(io, templateValue(own, server), options.format));
  else io.stdout.write(clientText(own) + (server === undefined ? '' : serverText(server)));
  if (failure !== undefined) throw new CliError(failureMessage(failure));
  return 0;
}

/** Templates know the version of the API as `APIVersion`, JSON as `ApiVersion`. */
function templateValue(own: ClientVersion, server: SystemVersion | undefined): GoStruct {
  const renamed = (value: object): Value => {
    const plain = goValue(value);
    if (!(plain instanceof GoStruct)) return plain;
    const fields = [...plain.fields].map(
      ([name, field]) => [name === 'ApiVersion' ? 'APIVersion' : name, field] as const,
    );
    return new GoStruct(new Map(fields), plain.missing, plain.escapes, JSON.stringify(value));
  };
  const halves = { Client: own, Server: server ?? null };
  const fields = new Map<string, Value>([
    ['Client', renamed(own)],
    ['Server', server === undefined ? goValue(null) : renamed(server)],
  ]);
  return new GoStruct(fields, 'map has no entry for key "%"', false, JSON.stringify(halves));
}

function clientText(own: ClientVersion): string {
  const downgraded =
    own.ApiVersion === own.DefaultAPIVersion ? '' : ` (downgraded from ${own.DefaultAPIVersion})`;
  return section('Client:', 1, [
    ['Version', own.Version],
    ['API version', own.ApiVersion + downgraded],
    ['Node version', own.NodeVersion],
    ['OS/Arch', `${own.Os}/${own.Arch}`],
  ]);
}

function serverText(server: SystemVersion): string {
  const platform = server.Platform?.Name ? ` ${server.Platform.Name}` : '';
  const parts = (server.Components ?? []).map(({ Name, Version, Details }) => {
    if (Name !== 'Engine' || Details === undefined) {
      const details = Object.entries(Details ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
      return section(` ${Name}:`, 2, [['Version', Version], ...details]);
    }
    return section(' Engine:', 2, [
      ['Version', Version],
      ['API version', `${Details['ApiVersion']} (minimum version ${Details['MinAPIVersion']})`],
      ...(Details['GoVersion'] ? [['Go version', Details['GoVersion']] as [string, string]] : []),
      ...(Details['NodeVersion'] ? [['Node version', Details['NodeVersion']] as [string, string]] : []),
      ['Git commit', Details['GitCommit'] ?? ''],
      ['Built', Details['BuildTime'] ?? ''],
      ['OS/Arch', `${Details['Os']}/${Details['Arch']}`],
      ['Experimental', Details['Experimental'] ?? 'false'],
    ]);
  });
  return `\nServer:${platform}\n${parts.join('')}`;
}

/** Values begin in one column, two further in than the deepest key. */
function section(title: string, indent: number, rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([key, value]) =>
    `${' '.repeat(indent)}${`${key}:`.padEnd(19 - indent)} ${value}`.trimEnd(),
  );
  return `${[title, ...lines].join('\n')}\n`;
}
