/**
 * Where subnets come from that no user chose: Docker's pools or those of `default-address-pools`, and for IPv6 the
 * daemon's own unique local prefix (RFC 4193). A block is given only where nothing that is known overlaps it.
 */
import { randomBytes } from 'node:crypto';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Family, Subnet } from '../ip-address.ts';
import { familyBits, formatSubnet, parseCidr, parseSubnet, subnetSize } from '../ip-address.ts';

/** Blocks of prefix length `size`, one behind the other in `base`. */
export interface PoolBlocks {
  base: Subnet;
  size: number;
}

function blocks(base: string, size: number): PoolBlocks {
  return { base: parseSubnet(base), size };
}

/** Docker's, in Docker's order. */
const DOCKER_POOLS: readonly PoolBlocks[] = [
  blocks('172.17.0.0/16', 16),
  blocks('172.18.0.0/16', 16),
  blocks('172.19.0.0/16', 16),
  blocks('172.20.0.0/14', 16),
  blocks('172.24.0.0/14', 16),
  blocks('172.28.0.0/14', 16),
  blocks('192.168.0.0/16', 20),
];

/** `default-address-pools` as given; empty for Docker's. Throws InvalidParameter naming the pool. */
export function parsePools(pools: readonly { base: string; size: number }[]): readonly PoolBlocks[] {
  if (pools.length === 0) return DOCKER_POOLS;
  return pools.map(({ base, size }) => {
    const { subnet } = parseCidr(base);
    if (!Number.isInteger(size) || size < subnet.prefixLength || size > familyBits(subnet.family)) {
      throw new InvalidParameterError(
        `invalid default address pool ${base}: size ${size} is no prefix length of blocks in it`,
      );
    }
    return { base: subnet, size };
  });
}

/** A fresh `fdxx:xxxx:xxxx::/48` to be kept: RFC 4193 wants 40 random bits. */
export function randomUniqueLocalPrefix(): string {
  const value = (0xfdn << 120n) | (BigInt(`0x${randomBytes(5).toString('hex')}`) << 80n);
  return formatSubnet({ family: 6, base: value, prefixLength: 48 });
}

/** Blocks of /64 in a unique local prefix. */
export function uniqueLocalPool(prefix: string): PoolBlocks {
  return blocks(prefix, 64);
}

/** The first block of `family` that overlaps none of `used`; undefined where all do. */
export function freeBlock(
  pools: readonly PoolBlocks[],
  family: Family,
  used: readonly Subnet[],
): Subnet | undefined {
  const taken = used
    .filter((subnet) => subnet.family === family)
    .map((subnet) => ({ first: subnet.base, end: endOf(subnet) }))
    .sort((a, b) => Number(a.first - b.first));
  for (const pool of pools) {
    const found = pool.base.family === family ? freeBlockOf(pool, taken) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The address behind the last one. */
function endOf(subnet: Subnet): bigint {
  return subnet.base + subnetSize(subnet);
}

/** `taken` by their first address, so that each is looked at once, however many networks there are. */
function freeBlockOf(
  { base: pool, size }: PoolBlocks,
  taken: readonly { first: bigint; end: bigint }[],
): Subnet | undefined {
  const { family } = pool;
  const blockSize = subnetSize({ ...pool, prefixLength: size });
  let base = pool.base;
  for (const { first, end } of taken) {
    if (first >= base + blockSize) break;
    if (end <= base) continue;
    const blocks = (end - pool.base + blockSize - 1n) / blockSize;
    base = pool.base + blocks * blockSize;
  }
  return base < endOf(pool) ? { family, base, prefixLength: size } : undefined;
}
