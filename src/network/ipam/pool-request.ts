/**
 * The `IPAM` of a network create request, judged: subnets, ranges, gateways and auxiliary addresses that fit each
 * other, in canonical text, with Docker's words for what does not fit. Which subnet a network gets where it asks for
 * none is decided elsewhere.
 */
import type { IPAMConfig } from '../../api/networks.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import type { Family, Subnet } from '../ip-address.ts';
import {
  contains,
  containsSubnet,
  formatAddress,
  formatSubnet,
  overlaps,
  parseCidr,
  readAddress,
  sameAddress,
} from '../ip-address.ts';
import type { AddressPool } from '../model.ts';
import { isHostAddress } from './address-choice.ts';

const FAMILY_NAMES = { 4: 'IPv4', 6: 'IPv6' } as const;

/** Longer lists are nobody's. */
const CONFIGS_MAX = 64;

/** Pools in the order given; an empty gateway is still to be chosen. Throws InvalidParameter listing all that is wrong. */
export function judgePools(configs: readonly IPAMConfig[]): AddressPool[] {
  if (configs.length > CONFIGS_MAX) {
    throw new InvalidParameterError(
      `invalid network config:\n${configs.length} subnets, ${CONFIGS_MAX} at most`,
    );
  }
  const faults: string[] = [];
  const pools = configs.flatMap((config) => judgePool(config, faults) ?? []);
  pools.forEach((pool, index) => {
    const subnet = parseCidr(pool.subnet).subnet;
    const earlier = pools.slice(0, index).find((other) => overlaps(parseCidr(other.subnet).subnet, subnet));
    if (earlier !== undefined) faults.push(`invalid subnet ${pool.subnet}: it overlaps ${earlier.subnet}`);
  });
  if (faults.length > 0) throw new InvalidParameterError(`invalid network config:\n${faults.join('\n')}`);
  return pools;
}

function judgePool(config: IPAMConfig, faults: string[]): AddressPool | undefined {
  const text = config.Subnet ?? '';
  const subnet = readCidr(text);
  if (subnet === undefined) {
    faults.push(`invalid subnet ${text}: invalid CIDR block notation`);
    return undefined;
  }
  if (subnet.hasHostBits) faults.push(`invalid subnet ${text}: it should be ${formatSubnet(subnet.subnet)}`);
  const block = subnet.subnet;
  const address = (value: string, label: string): string => {
    const fault = addressFault(value, block);
    if (fault !== undefined) faults.push(`${label}: ${fault}`);
    const read = readAddress(value);
    return read === undefined ? '' : formatAddress(read);
  };
  const gateway = config.Gateway ? address(config.Gateway, `invalid gateway ${config.Gateway}`) : '';
  const auxiliary = Object.fromEntries(
    Object.entries(config.AuxiliaryAddresses ?? {}).map(([name, value]) => [
      name,
      address(value, `invalid auxiliary address ${name}`),
    ]),
  );
  const gatewayAddress = readAddress(gateway);
  for (const [name, value] of Object.entries(auxiliary)) {
    const read = readAddress(value);
    if (read !== undefined && gatewayAddress !== undefined && sameAddress(read, gatewayAddress)) {
      faults.push(`invalid auxiliary address ${name}: it is the gateway`);
    }
  }
  return {
    subnet: formatSubnet(block),
    range: judgeRange(config.IPRange ?? '', block, faults),
    gateway,
    auxiliary,
    configured: true,
  };
}

function judgeRange(text: string, subnet: Subnet, faults: string[]): string {
  if (text === '') return '';
  const fail = (reason: string): string => {
    faults.push(`invalid ip-range ${text}: ${reason}`);
    return '';
  };
  const range = readCidr(text);
  if (range === undefined) return fail('invalid CIDR block notation');
  if (range.subnet.family !== subnet.family) {
    return fail(`parent subnet is an ${FAMILY_NAMES[subnet.family]} block`);
  }
  const parent = formatSubnet(subnet);
  if (range.subnet.prefixLength < subnet.prefixLength) {
    return fail(`CIDR block is bigger than its parent subnet ${parent}`);
  }
  if (range.hasHostBits) return fail(`it should be ${formatSubnet(range.subnet)}`);
  if (!containsSubnet(subnet, range.subnet)) return fail(`parent subnet ${parent} doesn't contain ip-range`);
  return formatSubnet(range.subnet);
}

function addressFault(text: string, subnet: Subnet): string | undefined {
  const address = readAddress(text);
  if (address === undefined) return 'invalid address';
  if (address.family !== subnet.family) return `parent subnet is an ${FAMILY_NAMES[subnet.family]} block`;
  if (!contains(subnet, address)) return `parent subnet ${formatSubnet(subnet)} doesn't contain this address`;
  if (!isHostAddress(subnet, address)) return `no host of ${formatSubnet(subnet)} can have this address`;
  return undefined;
}

function readCidr(text: string): { subnet: Subnet; hasHostBits: boolean } | undefined {
  try {
    const { address, subnet } = parseCidr(text);
    return { subnet, hasHostBits: address.value !== subnet.base };
  } catch {
    // The caller says what is wrong with which of its values.
    return undefined;
  }
}

export function familyOf(pool: AddressPool): Family {
  return pool.subnet.includes(':') ? 6 : 4;
}
