/**
 * Which subnet the default bridge gets where the user did not say: the first of Docker's pools that nothing on the
 * host uses.
 */
import { UnavailableError } from '../base/errors.ts';
import type { Subnet } from './address.ts';
import { overlaps, parseIPv4 } from './address.ts';

/** 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20. */
export function* defaultPools(): Generator<Subnet> {
  for (let n = 17; n <= 31; n++) yield { base: parseIPv4(`172.${n}.0.0`), prefixLength: 16 };
  for (let n = 0; n < 256; n += 16) yield { base: parseIPv4(`192.168.${n}.0`), prefixLength: 20 };
}

/**
 * The first pool that overlaps none of `used` (routes, addresses and name servers of the host; default routes do not
 * count). Throws Unavailable, naming the way out, where all do.
 */
export function chooseSubnet(used: readonly Subnet[]): Subnet {
  const relevant = used.filter((subnet) => subnet.prefixLength > 0);
  for (const pool of defaultPools()) {
    if (!relevant.some((subnet) => overlaps(subnet, pool))) return pool;
  }
  throw new UnavailableError(
    'could not find an available, non-overlapping IPv4 address pool for the default bridge: choose one with --bip',
  );
}
