/** `-p`/`--publish` and `--expose`: port specifications to `ExposedPorts` and `PortBindings`. */
import { isIP } from 'node:net';
import type { PortBinding, PortMap } from '../../api/networks.ts';

export interface PublishedPorts {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: PortMap;
}

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Throws with Docker's messages for a specification that cannot be read. */
export function publishedPorts(publish: readonly string[], expose: readonly string[]): PublishedPorts {
  const bindings: Record<string, PortBinding[]> = {};
  for (const spec of publish) {
    for (const [port, binding] of publishSpec(shortForm(spec))) {
      bindings[port] = [...(bindings[port] ?? []), binding];
    }
  }
  const exposed: Record<string, Record<string, never>> = {};
  for (const port of Object.keys(bindings)) exposed[port] = {};
  for (const spec of expose) for (const port of exposeSpec(spec)) exposed[port] = {};
  return { exposed, bindings };
}

/** `published=8080,target=80,protocol=tcp` as `8080:80/tcp`; anything else unchanged. */
function shortForm(spec: string): string {
  if (!spec.includes('=')) return spec;
  const fields = new Map(spec.split(',').map((field) => field.split('=', 2) as [string, string]));
  for (const [name, value] of fields) {
    if (!['published', 'target', 'protocol', 'mode'].includes(name) || !value) {
      throw new Error(`invalid field ${spec}`);
    }
  }
  const published = fields.get('published');
  const target = `${fields.get('target') ?? ''}/${fields.get('protocol') ?? 'tcp'}`;
  return published === undefined ? target : `${published}:${target}`;
}

/** `[[ip:][hostPort]:]containerPort[/protocol]`, ports single or ranges. */
function publishSpec(spec: string): [port: string, binding: PortBinding][] {
  const { ip, hostPort, containerPort } = splitPublish(spec);
  const address = ip.startsWith('[') ? ip.replace(/^\[(.*)\]$/, '$1') : ip;
  if (address !== '' && isIP(address) === 0) throw new Error(`invalid IP address: ${ip}`);
  const { ports, protocol } = splitProtocol(containerPort);
  if (ports === '') throw new Error(`no port specified: ${spec}<empty>`);
  const container = parseRange(ports, `invalid containerPort: ${ports}`);
  const host = hostPort === '' ? undefined : parseRange(hostPort, `invalid hostPort: ${hostPort}`);
  const count = container.last - container.first;
  if (host !== undefined && host.last - host.first !== count && count !== 0) {
    throw new Error(`invalid ranges specified for container and host Ports: ${ports} and ${hostPort}`);
  }
  const result: [string, PortBinding][] = [];
  for (let index = 0; index <= count; index++) {
    result.push([
      `${container.first + index}/${protocol}`,
      { HostIp: address, HostPort: hostPortOf(host, index, count === 0) },
    ]);
  }
  return result;
}

/** One container port with a host range lets the daemon pick from the range. */
function hostPortOf(host: PortRange | undefined, index: number, single: boolean): string {
  if (host === undefined) return '';
  if (single && host.first !== host.last) return `${host.first}-${host.last}`;
  return String(host.first + index);
}

function splitPublish(spec: string): { ip: string; hostPort: string; containerPort: string } {
  const parts = spec.split(':');
  const containerPort = parts.pop() ?? '';
  const hostPort = parts.pop() ?? '';
  return { ip: parts.join(':'), hostPort, containerPort };
}

function exposeSpec(spec: string): string[] {
  if (spec.includes(':')) throw new Error(`invalid port format for --expose: ${spec}`);
  const { ports, protocol } = splitProtocol(spec);
  const { first, last } = parseRange(ports, `invalid range format for --expose: ${spec}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function splitProtocol(spec: string): { ports: string; protocol: string } {
  const [ports = '', protocol = 'tcp'] = spec.split('/', 2);
  const name = protocol === '' ? 'tcp' : protocol.toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(name)) throw new Error(`invalid proto: ${protocol}`);
  return { ports, protocol: name };
}

function parseRange(text: string, message: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > 65535 || last > 65535 || last < first) throw new Error(message);
  return { first, last };
}
