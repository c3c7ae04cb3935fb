/** `mydock port`: where a container's ports are published. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { hostPort } from '../format/ports.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { inspectContainer } from './lookup.ts';

export const port = defineVerb<Record<string, never>>({
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  summary: "Show where a container's ports, or one of them, are published",
  args: { min: 1, max: 2 },
  flags() {},
  run: ({ client, io }, [name = '', wanted]) => runPort(client, io, name, wanted),
});

/** `80` means `80/tcp`. */
export async function runPort(
  client: Client,
  io: Io,
  name: string,
  wanted: string | undefined,
): Promise<number> {
  const { NetworkSettings } = await inspectContainer(client, name);
  const published = Object.entries(NetworkSettings.Ports ?? {}).toSorted(([a], [b]) => byNumber(a, b));
  if (wanted !== undefined && wanted !== '') {
    const key = wanted.includes('/') ? wanted : `${wanted}/tcp`;
    const bindings = published.find(([inside]) => inside === key)?.[1];
    if (!bindings?.length) throw new CliError(`Error: No public port '${wanted}' published for ${name}`);
    for (const { HostIp, HostPort } of bindings) printLine(io, hostPort(HostIp ?? '', HostPort ?? ''));
    return 0;
  }
  for (const [inside, bindings] of published) {
    for (const { HostIp, HostPort } of bindings ?? []) {
      printLine(io, `${inside} -> ${hostPort(HostIp ?? '', HostPort ?? '')}`);
    }
  }
  return 0;
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1);
}
