/** `--subnet`, `--ip-range`, `--gateway` and `--aux-address` of `network create`, put together by subnet. */
import { BlockList, isIP } from 'node:net';
import type { IPAM, IPAMConfig } from '../../api/networks.ts';
import { splitPair } from '../options/environment.ts';

export interface IpamFlags {
  readonly driver: string;
  readonly options: Record<string, string>;
  readonly subnets: readonly string[];
  readonly ranges: readonly string[];
  readonly gateways: readonly string[];
  /** `name=address`. */
  readonly auxiliary: readonly string[];
}

/** Throws with Docker's messages where something lies in none of the subnets, or subnets overlap. */
export function ipamOf(flags: IpamFlags): IPAM {
  const { subnets, ranges, gateways } = flags;
  if (subnets.length < ranges.length || subnets.length < gateways.length) {
    throw new Error('every ip-range or gateway must have a corresponding subnet');
  }
  const pools = subnets.map((subnet) => ({ subnet, ...blockOf(subnet), config: poolConfig(subnet) }));
  for (const [index, pool] of pools.entries()) {
    const overlaps = pools
      .slice(0, index)
      .some((other) => other.holds(pool.address) || pool.holds(other.address));
    if (overlaps) throw new Error('multiple overlapping subnet configuration is not supported');
  }
  const poolOf = (what: string, text: string): (typeof pools)[number] => {
    const address = addressOf(text);
    const pool = pools.find((one) => one.holds(address));
    if (pool === undefined) throw new Error(`no matching subnet for ${what} ${text}`);
    return pool;
  };
  for (const range of ranges) {
    if (!range.includes('/')) throw new Error(`invalid CIDR address: ${range}`);
    const { config, subnet } = poolOf('range', range);
    if (config.IPRange !== undefined) {
      throw new Error(
        `cannot configure multiple ranges (${range}, ${config.IPRange}) on the same subnet (${subnet})`,
      );
    }
    config.IPRange = range;
  }
  for (const gateway of gateways) {
    const { config, subnet } = poolOf('gateway', gateway);
    if (config.Gateway !== undefined) {
      throw new Error(
        `cannot configure multiple gateways (${gateway}, ${config.Gateway}) for the same subnet (${subnet})`,
      );
    }
    config.Gateway = gateway;
  }
  for (const pair of flags.auxiliary) {
    const [name, address] = splitPair(pair);
    const { config } = poolOf('aux-address', address);
    config.AuxiliaryAddresses = Object.fromEntries([
      ...Object.entries(config.AuxiliaryAddresses),
      [name, address],
    ]);
  }
  return { Driver: flags.driver, Options: flags.options, Config: pools.map(({ config }) => config) };
}

type PoolConfig = IPAMConfig & { AuxiliaryAddresses: Record<string, string> };

function poolConfig(subnet: string): PoolConfig {
  return { Subnet: subnet, AuxiliaryAddresses: {} };
}

function blockOf(subnet: string): { address: string; holds: (address: string) => boolean } {
  const [address = '', length = '', ...rest] = subnet.split('/');
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > longest) {
    throw new Error(`invalid subnet: invalid CIDR address: ${subnet}`);
  }
  const block = new BlockList();
  block.addSubnet(address, Number(length), family === 4 ? 'ipv4' : 'ipv6');
  return {
    address,
    holds: (other) => isIP(other) === family && block.check(other, family === 4 ? 'ipv4' : 'ipv6'),
  };
}

/** Of `10.0.0.0/24` or `10.0.0.1`; empty for what is no address. */
function addressOf(text: string): string {
  const [address = ''] = text.split('/');
  if (text.includes('/') && isIP(address) === 0) throw new Error(`invalid CIDR address: ${text}`);
  return isIP(address) === 0 ? '' : address;
}
