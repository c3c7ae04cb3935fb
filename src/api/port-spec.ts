/**
 * Port specifications as users write them: what `-p` publishes (`[[ip:][hostPort]:]containerPort[/protocol]`, ports
 * single or ranges), and what `update --publish-rm` withdraws. The update request carries the first in `PublishAdd`,
 * the second in `PublishRemove`.
 */
import { isIP } from 'node:net';

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

/** One port to publish; the words of a port mapping in src/network/model.ts. */
export interface PublishSpec {
  containerPort: number;
  protocol: PortProtocol;
  /** Empty: all addresses of the host, of both families. */
  hostIp: string;
  /** 0: the daemon chooses. */
  hostPort: number;
  /** The first free one from hostPort to this. */
  hostPortEnd?: number;
}

/** Names published ports: all that agree with what is given. */
export interface PublishedSelector {
  protocol: PortProtocol;
  hostPort: number;
  /** Absent: on whatever address. */
  hostIp?: string;
  /** Absent: to whatever port of the container. */
  containerPort?: number;
}

/** Thrown for what is no specification, with Docker's texts. */
export class PortSpecError extends Error {}

interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One entry for each port of the container. Throws PortSpecError. */
export function parsePublishSpec(spec: string): PublishSpec[] {
  const { ip, hostPort, containerPort } = splitSpec(spec);
  const hostIp = readHostIp(ip);
  const { ports, protocol } = splitProtocol(containerPort);
  if (ports === '') throw new PortSpecError(`no port specified: ${spec}<empty>`);
  const container = parsePortRange(ports, `invalid containerPort: ${ports}`);
  const host = hostPort === '' ? undefined : parsePortRange(hostPort, `invalid hostPort: ${hostPort}`);
  const count = container.last - container.first;
  if (host !== undefined && host.last - host.first !== count && count !== 0) {
    throw new PortSpecError(
      `invalid ranges specified for container and host Ports: ${ports} and ${hostPort}`,
    );
  }
  return Array.from({ length: count + 1 }, (_, index) => ({
    containerPort: container.first + index,
    protocol,
    hostIp,
    ...hostPortOf(host, index, count === 0),
  }));
}

/** One container port with a host range lets the daemon pick from the range. */
function hostPortOf(
  host: PortRange | undefined,
  index: number,
  single: boolean,
): { hostPort: number; hostPortEnd?: number } {
  if (host === undefined) return { hostPort: 0 };
  if (single && host.first !== host.last) return { hostPort: host.first, hostPortEnd: host.last };
  return { hostPort: host.first + index };
}

/**
 * `8080`, `8080/udp`, `8080:80`, `127.0.0.1:8080:80`; ports single or ranges of equal length. A port alone is the
 * host's. Throws PortSpecError.
 */
export function parsePublishedSelector(spec: string): PublishedSelector[] {
  const { ip, hostPort, containerPort } = splitSpec(spec);
  const hostIp = readHostIp(ip);
  const { ports, protocol } = splitProtocol(containerPort);
  const alone = !spec.replace(/^\[.*\]/, '').includes(':');
  const hostText = alone ? ports : hostPort;
  const host = parsePortRange(hostText, `invalid hostPort: ${hostText}`);
  const container = alone ? undefined : parsePortRange(ports, `invalid containerPort: ${ports}`);
  if (container !== undefined && container.last - container.first !== host.last - host.first) {
    throw new PortSpecError(
      `invalid ranges specified for container and host Ports: ${ports} and ${hostText}`,
    );
  }
  return Array.from({ length: host.last - host.first + 1 }, (_, index) => ({
    protocol,
    hostPort: host.first + index,
    ...(hostIp === '' ? {} : { hostIp }),
    ...(container === undefined ? {} : { containerPort: container.first + index }),
  }));
}

function splitSpec(spec: string): { ip: string; hostPort: string; containerPort: string } {
  const parts = spec.split(':');
  const containerPort = parts.pop() ?? '';
  const hostPort = parts.pop() ?? '';
  return { ip: parts.join(':'), hostPort, containerPort };
}

function readHostIp(ip: string): string {
  const address = ip.startsWith('[') ? ip.replace(/^\[(.*)\]$/, '$1') : ip;
  if (address !== '' && isIP(address) === 0) throw new PortSpecError(`invalid IP address: ${ip}`);
  return address;
}

/** `80/udp`; without a protocol tcp. */
export function splitProtocol(spec: string): { ports: string; protocol: PortProtocol } {
  const [ports = '', written = 'tcp'] = spec.split('/', 2);
  const protocol = written === '' ? 'tcp' : written.toLowerCase();
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return { ports, protocol };
  throw new PortSpecError(`invalid proto: ${written}`);
}

/** `80` or `8000-8010`. */
export function parsePortRange(text: string, message: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first > 65535 || last > 65535 || last < first) throw new PortSpecError(message);
  return { first, last };
}
