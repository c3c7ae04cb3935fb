/**
 * IP addresses of both families, subnets, and the MAC address that goes with an address. Text is canonical: IPv6 as
 * RFC 5952 writes it.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { InvalidParameterError } from '../base/errors.ts';

export type Family = 4 | 6;

/** `value` is the address as an unsigned number of 32 or 128 bits. */
export interface IpAddress {
  family: Family;
  value: bigint;
}

/** A block of addresses; `base` is the first one. */
export interface Subnet {
  family: Family;
  base: bigint;
  prefixLength: number;
}

/** 32 or 128. */
export function familyBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/** Undefined where `text` is no address; a zone (`%eth0`) makes it none. */
export function readAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return { family: 4, value: readIPv4(text) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return { family: 6, value: readIPv6(text) };
}

/** Throws InvalidParameter where `text` is no IPv4 or IPv6 address. */
export function parseAddress(text: string): IpAddress {
  const address = readAddress(text);
  if (address === undefined) throw new InvalidParameterError(`invalid IP address: "${text}"`);
  return address;
}

function readIPv4(text: string): bigint {
  return BigInt(text.split('.').reduce((value, part) => value * 256 + Number(part), 0));
}

function readIPv6(text: string): bigint {
  // `::ffff:10.0.0.1`: the last two groups may be written as an IPv4 address.
  const dotted = /^(.*:)([\d.]+)$/.exec(text);
  const low = dotted?.[2]?.includes('.') === true ? readIPv4(dotted[2]) : undefined;
  const groups =
    low === undefined
      ? text
      : `${dotted?.[1] ?? ''}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [head = '', tail] = groups.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

export function formatAddress(address: IpAddress): string {
  return address.family === 4 ? [...addressBytes(address)].join('.') : formatIPv6(address.value);
}

/** RFC 5952: lower case, the longest run of two or more zero groups left out, IPv4-mapped ones with dots. */
function formatIPv6(value: bigint): string {
  if (value >> 32n === 0xffffn) return `::ffff:${formatAddress({ family: 4, value: value & 0xffffffffn })}`;
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  const run = longestZeroRun(groups);
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  groups.forEach((group, index) => {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start };
  });
  return best;
}

/** Four or sixteen bytes in network order. */
export function addressBytes({ family, value }: IpAddress): Buffer {
  return Buffer.from(value.toString(16).padStart(familyBits(family) / 4, '0'), 'hex');
}

/** From four or sixteen bytes. */
export function addressFromBytes(bytes: Uint8Array): IpAddress {
  const family = bytes.length === 4 ? 4 : 6;
  return { family, value: BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`) };
}

export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.value === b.value;
}

function hostMask(family: Family, prefixLength: number): bigint {
  return (1n << BigInt(familyBits(family) - prefixLength)) - 1n;
}

/** How many addresses a subnet holds. */
export function subnetSize(subnet: Subnet): bigint {
  return hostMask(subnet.family, subnet.prefixLength) + 1n;
}

/** The subnet that `address` lies in. */
export function subnetOf({ family, value }: IpAddress, prefixLength: number): Subnet {
  return { family, base: value & ~hostMask(family, prefixLength), prefixLength };
}

/** In IPv4 the broadcast address. */
export function lastAddress(subnet: Subnet): IpAddress {
  return { family: subnet.family, value: subnet.base + subnetSize(subnet) - 1n };
}

/** The address `offset` behind the first one. */
export function addressAt(subnet: Subnet, offset: bigint): IpAddress {
  return { family: subnet.family, value: subnet.base + offset };
}

export function contains(subnet: Subnet, address: IpAddress): boolean {
  return subnet.family === address.family && subnetOf(address, subnet.prefixLength).base === subnet.base;
}

/** Whether all of `inner` lies in `outer`. */
export function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  return (
    inner.prefixLength >= outer.prefixLength && contains(outer, { family: inner.family, value: inner.base })
  );
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return containsSubnet(a, b) || containsSubnet(b, a);
}

/** The netmask as bytes. */
export function maskBytes(subnet: Pick<Subnet, 'family' | 'prefixLength'>): Buffer {
  const all = hostMask(subnet.family, 0);
  return addressBytes({
    family: subnet.family,
    value: all & ~hostMask(subnet.family, subnet.prefixLength),
  });
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(addressAt(subnet, 0n))}/${subnet.prefixLength}`;
}

/** `10.9.0.1/24` or `fd00::1/64` as address and subnet. Throws InvalidParameter. */
export function parseCidr(text: string): { address: IpAddress; subnet: Subnet } {
  const parts = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = readAddress(parts?.[1] ?? '');
  const prefixLength = Number(parts?.[2]);
  if (address === undefined || prefixLength > familyBits(address.family)) {
    throw new InvalidParameterError(`invalid CIDR address: ${text}`);
  }
  return { address, subnet: subnetOf(address, prefixLength) };
}

/** A subnet whose text has no host bits. Throws InvalidParameter, with Docker's hint where it has some. */
export function parseSubnet(text: string): Subnet {
  const { address, subnet } = parseCidr(text);
  if (address.value !== subnet.base) {
    throw new InvalidParameterError(`invalid subnet ${text}: it should be ${formatSubnet(subnet)}`);
  }
  return subnet;
}

/** Docker's MAC address for an IPv4 address: 02:42 and its four bytes, so that a reused address keeps its MAC. */
export function macForAddress(address: IpAddress): string {
  const bytes = addressBytes(address);
  return formatMac(Buffer.concat([Buffer.from([0x02, 0x42]), bytes.subarray(bytes.length - 4)]));
}

export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Throws InvalidParameter where `text` is no MAC address of a single host (six bytes, no group bit, not all zero). */
export function parseMac(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll(/[:-]/g, ''), 'hex');
  const wellFormed = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text);
  if (!wellFormed || ((bytes[0] ?? 0) & 1) === 1 || bytes.every((byte) => byte === 0)) {
    throw new InvalidParameterError(`invalid MAC address: ${text}`);
  }
  return bytes;
}
