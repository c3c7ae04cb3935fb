/** What ports a host can publish, on which of its addresses, and where they lead to. */
import { isIP, isIPv6 } from 'node:net';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Family } from '../ip-address.ts';
import { contains, formatAddress, parseAddress, parseSubnet } from '../ip-address.ts';
import type { PortMapping } from '../model.ts';

export const ANY_IPV4 = '0.0.0.0';
export const ANY_IPV6 = '::';

const LOOPBACK_IPV4 = parseSubnet('127.0.0.0/8');
const LOOPBACK_IPV6 = parseSubnet('::1/128');

/** Where a container's ports lead to; a family that it does not have is carried to the other one. */
export interface ForwardAddresses {
  ipv4?: string;
  ipv6?: string;
  /** Families whose network is routed: their ports are open at the container, none of the host is taken. */
  routed?: { ipv4: boolean; ipv6: boolean };
}

/** Throws InvalidParameter on what no host can publish. */
export function validatePorts(ports: readonly PortMapping[]): void {
  for (const port of ports) {
    const end = port.hostPortEnd ?? port.hostPort;
    if (!isPort(port.containerPort) || port.containerPort === 0) {
      throw new InvalidParameterError(`invalid containerPort: ${port.containerPort}`);
    }
    if (!isPort(port.hostPort) || !isPort(end))
      throw new InvalidParameterError(`invalid hostPort: ${port.hostPort}`);
    if (end < port.hostPort) {
      throw new InvalidParameterError(`invalid range format for hostPort: ${port.hostPort}-${end}`);
    }
    if (port.hostIp !== '' && (isIP(port.hostIp) === 0 || port.hostIp.includes('%'))) {
      throw new InvalidParameterError(`invalid IP address: ${port.hostIp}`);
    }
    if (!['tcp', 'udp', 'sctp'].includes(port.protocol)) {
      throw new InvalidParameterError(`invalid proto: ${String(port.protocol)}`);
    }
  }
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 65535;
}

export function familyOf(hostIp: string): Family {
  return isIPv6(hostIp) ? 6 : 4;
}

export function isRouted(target: ForwardAddresses, family: Family): boolean {
  return (family === 4 ? target.routed?.ipv4 : target.routed?.ipv6) === true;
}

/** The addresses of the host that a mapping means, canonical. */
export function hostAddresses(mapping: PortMapping): string[] {
  return mapping.hostIp === '' ? [ANY_IPV4, ANY_IPV6] : [formatAddress(parseAddress(mapping.hostIp))];
}

/** The container's address that a port of the host leads to: of the same family where it has one. */
export function containerAddress(target: ForwardAddresses, family: Family): string | undefined {
  return family === 4 ? (target.ipv4 ?? target.ipv6) : (target.ipv6 ?? target.ipv4);
}

/** Bound to the host's loopback: no other host gets there, whatever the rules. */
export function isLoopback(hostIp: string): boolean {
  const address = parseAddress(hostIp);
  return contains(LOOPBACK_IPV4, address) || contains(LOOPBACK_IPV6, address);
}
