/**
 * `mydock port`: where a container's ports are published, in Docker's lines. On a terminal, and with --open, each says
 * who can reach it; scripts that read the lines get them bare.
 */
import type { OpenPort } from '../../api/containers.ts';
import type { PortBinding } from '../../api/networks.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { optionalBoolFlag } from '../flags/declare.ts';
import { hostPort } from '../format/ports.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { inspectContainer } from './lookup.ts';

export interface PortOptions {
  open?: boolean;
}

export const port = defineVerb<PortOptions>({
  usage: '[OPTIONS] CONTAINER [PRIVATE_PORT[/PROTO]]',
  summary: "Show where a container's ports, or one of them, are published, and who can reach them",
  args: { min: 1, max: 2 },
  flags(command) {
    optionalBoolFlag(
      command,
      '--open',
      'Say behind each port whether other hosts can reach it (default true on a terminal)',
    );
  },
  run: ({ client, io }, [name = '', wanted], options) => runPort(client, io, name, wanted, options),
});

/** `80` means `80/tcp`. */
export async function runPort(
  client: Client,
  io: Io,
  name: string,
  wanted: string | undefined,
  options: PortOptions = {},
): Promise<number> {
  const { NetworkSettings, OpenPorts } = await inspectContainer(client, name);
  const noted = options.open ?? io.stdout.isTTY === true;
  // Docker's daemon does not say who can reach a port.
  const note = noted && OpenPorts !== undefined ? reachNote(OpenPorts) : () => '';
  const published = Object.entries(NetworkSettings.Ports ?? {}).toSorted(([a], [b]) => byNumber(a, b));
  if (wanted !== undefined && wanted !== '') {
    const key = wanted.includes('/') ? wanted : `${wanted}/tcp`;
    const bindings = published.find(([inside]) => inside === key)?.[1];
    if (!bindings?.length) throw new CliError(`Error: No public port '${wanted}' published for ${name}`);
    for (const binding of bindings) printLine(io, address(binding) + note(key, binding));
    return 0;
  }
  for (const [inside, bindings] of published) {
    for (const binding of bindings ?? []) {
      printLine(io, `${inside} -> ${address(binding)}${note(inside, binding)}`);
    }
  }
  return 0;
}

function address({ HostIp, HostPort }: PortBinding): string {
  return hostPort(HostIp ?? '', HostPort ?? '');
}

function reachNote(open: readonly OpenPort[]): (inside: string, binding: PortBinding) => string {
  return (inside, { HostIp, HostPort }) => {
    const found = open.find(
      (port) =>
        inside === `${port.ContainerPort}/${port.Type}` &&
        port.HostIp === HostIp &&
        String(port.HostPort) === HostPort,
    );
    if (found === undefined) return '  (this host only)';
    return found.HostRules ? "  (open as far as this host's rules allow)" : '  (open to other hosts)';
  };
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1);
}
