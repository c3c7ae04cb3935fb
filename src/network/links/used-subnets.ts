/**
 * The addresses that the host uses, which no network may take: what its routes and addresses name, in all tables, and
 * its name servers.
 */
import { readFileSync } from 'node:fs';
import type { Subnet } from '../ip-address.ts';
import { familyBits, readAddress, subnetOf } from '../ip-address.ts';
import * as route from '../netlink/route.ts';
import type { HostLinks } from './host-links.ts';

/** The second has the servers behind the first where that names only systemd's stub. */
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

const NEITHER_NETWORK_NOR_HOST: readonly number[] = [
  route.ROUTE_TYPE.broadcast,
  route.ROUTE_TYPE.anycast,
  route.ROUTE_TYPE.multicast,
];

/** A subnet that the host uses, and by what: an interface, a file, or `a route` where that leads to no interface. */
export interface UsedSubnet {
  subnet: Subnet;
  interface: string;
}

/** Default routes are among them. What belongs to the interfaces `except` is not. */
export async function usedSubnets(links: HostLinks, except: readonly string[]): Promise<UsedSubnet[]> {
  const names = await links.names();
  const left = new Set(except);
  const nameOf = (index: number): string => names.get(index) ?? 'a route';
  // With a thousand networks nearly all that the kernel lists is their own.
  const counts = (index: number): boolean => !left.has(nameOf(index));
  const fromRoutes = (await links.routes(counts))
    .filter(({ type }) => !NEITHER_NETWORK_NOR_HOST.includes(type))
    .map(({ destination, index }) => ({ subnet: destination, interface: nameOf(index) }));
  const fromAddresses = (await links.addresses(counts)).map(({ address, prefixLength, index }) => ({
    subnet: subnetOf(address, prefixLength),
    interface: nameOf(index),
  }));
  return [
    ...[...fromRoutes, ...fromAddresses].filter((used) => !left.has(used.interface)),
    ...RESOLVER_FILES.flatMap(nameServers),
  ];
}

function nameServers(path: string): UsedSubnet[] {
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // Not every host has both files, and one without name servers has no addresses of them to spare.
    return [];
  }
  return [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].flatMap(([, server = '']) => {
    const address = readAddress(server.replace(/%.*/, ''));
    return address === undefined
      ? []
      : [{ subnet: subnetOf(address, familyBits(address.family)), interface: path }];
  });
}
