/**
 * IPv4 addresses as numbers, subnets, and the MAC address that goes with an address.
 */
import { isIPv4 } from 'node:net';
import { InvalidParameterError } from '../base/errors.ts';

/** A block of addresses. `base` is the first one as an unsigned 32-bit number. */
export interface Subnet {
  base: number;
  prefixLength: number;
}

/** Throws InvalidParameter where `text` is no dotted IPv4 address. */
export function parseIPv4(text: string): number {
  if (!isIPv4(text)) throw new InvalidParameterError(`invalid IPv4 address: "${text}"`);
  return text.split('.').reduce((value, part) => value * 256 + Number(part), 0);
}

export function formatIPv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** The four bytes in network order. */
export function ipv4Bytes(address: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address >>> 0);
  return bytes;
}

function mask(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

/** How many addresses a subnet holds. */
export function subnetSize(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefixLength);
}

/** The subnet that `address` lies in. */
export function subnetOf(address: number, prefixLength: number): Subnet {
  return { base: (address & mask(prefixLength)) >>> 0, prefixLength };
}

export function contains(subnet: Subnet, address: number): boolean {
  return subnetOf(address, subnet.prefixLength).base === subnet.base;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  const shorter = Math.min(a.prefixLength, b.prefixLength);
  return subnetOf(a.base, shorter).base === subnetOf(b.base, shorter).base;
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatIPv4(subnet.base)}/${subnet.prefixLength}`;
}

/** `10.9.0.1/24` as address and subnet. Throws InvalidParameter. */
export function parseCidr(text: string): { address: number; subnet: Subnet } {
  const parts = /^([^/]+)\/(\d{1,2})$/.exec(text);
  const prefixLength = Number(parts?.[2]);
  if (parts === null || prefixLength > 32 || !isIPv4(parts[1] ?? '')) {
    throw new InvalidParameterError(`invalid CIDR address: ${text}`);
  }
  const address = parseIPv4(parts[1] ?? '');
  return { address, subnet: subnetOf(address, prefixLength) };
}

/** Docker's MAC address for an IPv4 address: 02:42 and its four bytes, so that a reused address keeps its MAC. */
export function macForAddress(address: number): string {
  return formatMac(Buffer.concat([Buffer.from([0x02, 0x42]), ipv4Bytes(address)]));
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
