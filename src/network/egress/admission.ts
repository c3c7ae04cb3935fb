/**
 * Which addresses of an answer to an allowed name are admitted through the firewall, and for how long.
 *
 * Whoever runs the name's zone chooses the addresses, so a name never opens the way to places that are only reached
 * from here: this host's own addresses, loopback, link-local (cloud metadata), private and shared address space, and
 * what embeds such an address in IPv6. A policy that means those has to name their subnet, and then needs no name.
 */
import { networkInterfaces } from 'node:os';
import type { IpAddress } from '../ip-address.ts';
import { contains, formatAddress, parseSubnet, readAddress } from '../ip-address.ts';

/** Shorter TTLs are taken for this. */
const TTL_MIN_SEC = 60;
/** Longer ones, which resolvers do not keep either. */
const TTL_MAX_SEC = 86_400;
/** A client that connects at the end of the TTL, and programs that keep an address somewhat longer. */
const GRACE_SEC = 300;

const HOST_ADDRESSES_KEPT_MS = 2_000;

const INTERNAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/3',
  // Unspecified, loopback, and IPv4-compatible and IPv4-mapped ones.
  '::/32',
  // Local translation (RFC 8215), Teredo.
  '64:ff9b:1::/48',
  '2001::/32',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
].map(parseSubnet);

/** Prefixes with an IPv4 address behind them: NAT64 (RFC 6052) and 6to4 (RFC 3056). */
const EMBEDDING = [
  { subnet: parseSubnet('64:ff9b::/96'), shift: 0n },
  { subnet: parseSubnet('2002::/16'), shift: 80n },
];

export class Admission {
  readonly #hostAddresses: () => readonly string[];
  #host: ReadonlySet<string> = new Set();
  #hostReadMs = Number.NEGATIVE_INFINITY;

  /** `hostAddresses` as text; default: what the interfaces of the process's namespace have. */
  constructor(hostAddresses: () => readonly string[] = interfaceAddresses) {
    this.#hostAddresses = hostAddresses;
  }

  admits(address: IpAddress): boolean {
    if (INTERNAL.some((subnet) => contains(subnet, address))) return false;
    if (this.#ownAddresses().has(formatAddress(address))) return false;
    const embedding = EMBEDDING.find(({ subnet }) => contains(subnet, address));
    if (embedding === undefined) return true;
    return this.admits({ family: 4, value: (address.value >> embedding.shift) & 0xffffffffn });
  }

  #ownAddresses(): ReadonlySet<string> {
    const now = performance.now();
    if (now - this.#hostReadMs > HOST_ADDRESSES_KEPT_MS) {
      this.#host = new Set(this.#hostAddresses());
      this.#hostReadMs = now;
    }
    return this.#host;
  }
}

/** How long an address is admitted that an answer gives for `ttlSec`. */
export function admissionSec(ttlSec: number): number {
  // RFC 2181, section 8: with the upper bit set it counts as zero.
  const ttl = ttlSec > 0x7fffffff ? 0 : ttlSec;
  return Math.min(Math.max(ttl, TTL_MIN_SEC), TTL_MAX_SEC) + GRACE_SEC;
}

function interfaceAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.flatMap(({ address }) => {
    const parsed = readAddress(address.replace(/%.*/, ''));
    return parsed === undefined ? [] : [formatAddress(parsed)];
  });
}
