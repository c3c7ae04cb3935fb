/** What ports a host can publish, on which of its addresses, and which of them the kernel translates. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { InvalidParameterError } from '../../base/errors.ts';
import type { GatewayMode, PublishedPort } from '../firewall/model.ts';
import type { Family, IpAddress } from '../ip-address.ts';
import { contains, formatAddress, parseAddress, parseSubnet } from '../ip-address.ts';
import type { BoundPort, PortMapping } from '../model.ts';

export const ANY_IPV4 = '0.0.0.0';
export const ANY_IPV6 = '::';

const LOOPBACK_IPV4 = parseSubnet('127.0.0.0/8');
const LOOPBACK_IPV6 = parseSubnet('::1/128');
const LINK_LOCAL_IPV6 = parseSubnet('fe80::/10');

/** A container as its ports lead to it: the addresses that it has in the network of its gateway. */
export interface PortTarget {
  networkId: string;
  ipv4?: IpAddress;
  ipv6?: IpAddress;
  gatewayMode: { ipv4: GatewayMode; ipv6: GatewayMode };
  /** The network's default for ports without an address (`host_binding_ipv4`); '' for none. */
  hostBinding: string;
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

export function isRouted(target: PortTarget, family: Family): boolean {
  return (family === 4 ? target.gatewayMode.ipv4 : target.gatewayMode.ipv6) === 'routed';
}

/** The addresses of the host that a mapping means, canonical. */
export function hostAddresses(mapping: PortMapping, target: PortTarget): string[] {
  const byDefault =
    target.hostBinding === ANY_IPV4 || target.hostBinding === ANY_IPV6 ? '' : target.hostBinding;
  const hostIp = mapping.hostIp === '' ? byDefault : mapping.hostIp;
  return hostIp === '' ? [ANY_IPV4, ANY_IPV6] : [formatAddress(parseAddress(hostIp))];
}

/** The container's address that a port of the host leads to: of the same family where it has one. */
export function containerAddress(target: PortTarget, family: Family): IpAddress | undefined {
  return family === 4 ? (target.ipv4 ?? target.ipv6) : (target.ipv6 ?? target.ipv4);
}

/** Those that the kernel translates, or lets through in routed networks: host and container have the family. */
export function publishedPorts(ports: readonly BoundPort[], target: PortTarget): PublishedPort[] {
  return ports.flatMap(({ protocol, hostIp, hostPort, containerPort }) => {
    const address = isIPv4(hostIp) ? target.ipv4 : target.ipv6;
    if (address === undefined || !isTranslated(hostIp)) return [];
    const all = hostIp === ANY_IPV4 || hostIp === ANY_IPV6;
    const { networkId } = target;
    return [
      { protocol, hostIp: all ? '' : hostIp, hostPort, containerAddress: address, containerPort, networkId },
    ];
  });
}

/** The kernel has no route_localnet for IPv6, and forwards nothing from link-local addresses. */
function isTranslated(hostIp: string): boolean {
  const address = parseAddress(hostIp);
  return !contains(LOOPBACK_IPV6, address) && !contains(LINK_LOCAL_IPV6, address);
}

/** Bound to the host's loopback: no other host gets there, whatever the rules. */
export function isLoopback(hostIp: string): boolean {
  const address = parseAddress(hostIp);
  return contains(LOOPBACK_IPV4, address) || contains(LOOPBACK_IPV6, address);
}
