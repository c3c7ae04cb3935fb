/**
 * Which addresses of a pool may be given to containers, and which is the next one: round and round, so that an
 * address rests as long as possible before another container has it.
 */

import type { IpAddress, Subnet } from '../ip-address.ts';
import {
  contains,
  formatAddress,
  lastAddress,
  parseAddress,
  parseSubnet,
  subnetSize,
} from '../ip-address.ts';
import type { AddressPool } from '../model.ts';

export function poolSubnet(pool: AddressPool): Subnet {
  const known = subnets.get(pool);
  if (known !== undefined) return known;
  const subnet = parseSubnet(pool.subnet);
  subnets.set(pool, subnet);
  return subnet;
}

/** Every creation of a network compares with all others'; pools are not changed once they are made. */
const subnets = new WeakMap<AddressPool, Subnet>();

/** The subnet that addresses are taken from. */
function poolRange(pool: AddressPool): Subnet {
  return parseSubnet(pool.range === '' ? pool.subnet : pool.range);
}

/**
 * Addresses of a subnet that no host has: in IPv4 the network's own and the broadcast address (RFC 3021: a /31 has
 * none), in IPv6 the routers' anycast address (RFC 4291, 2.6.1).
 */
export function isHostAddress(subnet: Subnet, address: IpAddress): boolean {
  if (!contains(subnet, address)) return false;
  if (subnetSize(subnet) <= (subnet.family === 4 ? 2n : 1n)) return true;
  if (address.value === subnet.base) return false;
  return subnet.family === 6 || address.value !== lastAddress(subnet).value;
}

/** Gateway and auxiliary addresses, as text. */
export function reservedAddresses(pool: AddressPool): string[] {
  return [pool.gateway, ...Object.values(pool.auxiliary)].filter((text) => text !== '');
}

/**
 * The next free address behind `last` (text; empty for none), as text. `taken` are canonical texts. Undefined where
 * none is left.
 */
export function nextAddress(pool: AddressPool, last: string, taken: ReadonlySet<string>): string | undefined {
  const subnet = poolSubnet(pool);
  const range = poolRange(pool);
  const reserved = new Set(reservedAddresses(pool));
  const size = subnetSize(range);
  const before = last === '' ? undefined : parseAddress(last);
  const start = before !== undefined && contains(range, before) ? before.value - range.base + 1n : 0n;
  // One of more candidates than there are addresses in use must be free; the ends of the subnet are two more.
  const enough = BigInt(taken.size + reserved.size + 3);
  const tries = enough < size ? enough : size;
  for (let i = 0n; i < tries; i++) {
    const address: IpAddress = { family: range.family, value: range.base + ((start + i) % size) };
    if (!isHostAddress(subnet, address)) continue;
    const text = formatAddress(address);
    if (!reserved.has(text) && !taken.has(text)) return text;
  }
  return undefined;
}
