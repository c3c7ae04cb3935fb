/**
 * Where subnets come from that no user chose: Docker's pools or those of `default-address-pools`, and for IPv6 the
 * daemon's own unique local prefix (RFC 4193). A block is given only where nothing that is known overlaps it.
 */
import { randomBytes } from 'node:crypto';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Family, Subnet } from '../ip-address.ts';
import {
  containsSubnet,
  familyBits,
  formatSubnet,
  overlaps,
  parseCidr,
  parseSubnet,
  subnetSize,
} from '../ip-address.ts';

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
  const others = used.filter((subnet) => subnet.family === family);
  for (const pool of pools) {
    const found = pool.base.family === family ? freeBlockOf(pool, others) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The address behind the last one. */
function endOf(subnet: Subnet): bigint {
  return subnet.base + subnetSize(subnet);
}

/** Each step passes at least one of `used`: behind it, or behind the block that it lies in. */
function freeBlockOf({ base: { family, base, prefixLength }, size }: PoolBlocks, used: readonly Subnet[]) {
  const end = endOf({ family, base, prefixLength });
  let block: Subnet = { family, base, prefixLength: size };
  while (block.base < end) {
    const current = block;
    const other = used.find((subnet) => overlaps(subnet, current));
    if (other === undefined) return block;
    block = { ...block, base: endOf(containsSubnet(other, current) ? other : current) };
  }
  return undefined;
}
