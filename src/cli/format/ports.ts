/** The PORTS column: `0.0.0.0:8080->80/tcp`, neighbours joined to ranges. */
import type { OpenPort, Port } from '../../api/containers.ts';

interface Range {
  first: number;
  last: number;
}

/** Ports published under another number are listed one by one, behind the ranges. */
export function displayPorts(ports: readonly Port[]): string {
  const open = new Map<string, Range>();
  const ranges: string[] = [];
  const mapped: string[] = [];
  for (const port of ports.toSorted(comparePorts)) {
    if (port.IP && port.PublicPort !== port.PrivatePort) {
      mapped.push(`${hostPort(port.IP, String(port.PublicPort))}->${port.PrivatePort}/${port.Type}`);
      continue;
    }
    const key = port.IP ? `${port.IP}/${port.Type}` : port.Type;
    const range = open.get(key);
    if (range !== undefined && port.PrivatePort === range.last + 1) {
      range.last = port.PrivatePort;
      continue;
    }
    if (range !== undefined) ranges.push(rangeText(key, range));
    open.set(key, { first: port.PrivatePort, last: port.PrivatePort });
  }
  return [...ranges, ...[...open].map(([key, range]) => rangeText(key, range)), ...mapped].join(', ');
}

/** `0.0.0.0:8080/tcp`: what other hosts can reach, by the host's ports, and whether its rules have a say. */
export function displayOpenPorts(ports: readonly OpenPort[]): string {
  return ports
    .toSorted(
      (a, b) => a.HostPort - b.HostPort || compareText(a.HostIp, b.HostIp) || compareText(a.Type, b.Type),
    )
    .map(({ HostIp, HostPort, Type, HostRules }) => {
      const port = `${hostPort(HostIp, String(HostPort))}/${Type}`;
      return HostRules ? `${port} (by the host's rules)` : port;
    })
    .join(', ');
}

function comparePorts(a: Port, b: Port): number {
  return (
    a.PrivatePort - b.PrivatePort ||
    compareText(a.IP ?? '', b.IP ?? '') ||
    (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
    compareText(a.Type, b.Type)
  );
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function rangeText(key: string, { first, last }: Range): string {
  const slash = key.lastIndexOf('/');
  const type = key.slice(slash + 1);
  const numbers = first === last ? String(first) : `${first}-${last}`;
  return slash < 0 ? `${numbers}/${type}` : `${hostPort(key.slice(0, slash), numbers)}->${numbers}/${type}`;
}

/** `0.0.0.0:80`, `[::]:80`. */
export function hostPort(ip: string, port: string): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
