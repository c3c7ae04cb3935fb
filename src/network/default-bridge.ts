/**
 * The predefined networks: what every host has from the first start on. The default bridge is what the daemon's
 * options say, else what was chosen at the first start, else a free pool; while containers are on it, it stays.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { OPTION } from './driver-options.ts';
import type { Subnet } from './ip-address.ts';
import {
  addressAt,
  contains,
  containsSubnet,
  formatAddress,
  formatSubnet,
  parseAddress,
  parseCidr,
  parseSubnet,
} from './ip-address.ts';
import { isHostAddress } from './ipam/address-choice.ts';
import { familyOf } from './ipam/pool-request.ts';
import type { SubnetChoice } from './ipam/subnet-choice.ts';
import type { AddressPool, NetworkDriver, NetworkRecord } from './model.ts';
import type { NetworkStore } from './network-store.ts';
import { PREDEFINED_NAMES, randomId } from './network-store.ts';

/** Values of the daemon's options; empty or absent for the default. */
export interface DefaultBridgeOptions {
  /** Address and subnet, `10.9.0.1/24`. */
  bip?: string | undefined;
  fixedCidr?: string;
  fixedCidrV6?: string;
  defaultGateway?: string;
  defaultGatewayV6?: string;
  ipv6?: boolean;
  /** 0 or absent: 1500. */
  mtu?: number;
  icc?: boolean;
}

const DRIVERS: Readonly<Record<(typeof PREDEFINED_NAMES)[number], NetworkDriver>> = {
  bridge: 'bridge',
  host: 'host',
  none: 'null',
};

/** Writes down those that are missing. */
export function ensurePredefined(store: NetworkStore): void {
  const known = new Set(store.networks().map(({ record }) => record.name));
  for (const name of PREDEFINED_NAMES) {
    if (known.has(name)) continue;
    const record: NetworkRecord = {
      id: randomId(),
      name,
      created: new Date().toISOString(),
      driver: DRIVERS[name],
      internal: false,
      attachable: false,
      ipv4: true,
      ipv6: false,
      pools: [],
      ipamOptions: {},
      options: {},
      labels: {},
      configOnly: false,
      configFrom: '',
      egress: null,
      hostInterface: '',
      ownsHostInterface: false,
    };
    store.putNetwork(record, 'ready');
  }
}

/** The default bridge as it is to be; written down. */
export async function settleDefaultBridge(
  store: NetworkStore,
  bridgeName: string,
  options: DefaultBridgeOptions,
  subnets: SubnetChoice,
): Promise<NetworkRecord> {
  const stored = store.networks().find(({ record }) => record.name === 'bridge')?.record;
  if (stored === undefined)
    throw new InvalidParameterError('network: the default bridge was not written down');
  const before: NetworkRecord = { ...stored, hostInterface: bridgeName, ownsHostInterface: true };
  const pools = [
    await ipv4Pool(before, options, subnets),
    ...(options.ipv6 === true ? [await ipv6Pool(before, options, subnets)] : []),
  ];
  const wanted: NetworkRecord = {
    ...before,
    ipv6: options.ipv6 === true,
    pools,
    options: bridgeOptions(bridgeName, options),
  };
  const samePools = JSON.stringify(wanted.pools) === JSON.stringify(before.pools);
  if (!samePools && before.pools.length > 0 && store.endpointsOf(before.id).length > 0) {
    log.warn(
      { wanted: pools.map(({ subnet }) => subnet), kept: before.pools.map(({ subnet }) => subnet) },
      'network: containers are attached; the addresses of the default bridge change once none is',
    );
    wanted.pools = before.pools;
    wanted.ipv6 = before.ipv6;
  }
  store.putNetwork(wanted, 'ready');
  return wanted;
}

function bridgeOptions(bridgeName: string, options: DefaultBridgeOptions): Record<string, string> {
  return {
    [OPTION.defaultBridge]: 'true',
    [OPTION.icc]: String(options.icc ?? true),
    [OPTION.masquerade]: 'true',
    [OPTION.hostBindingIPv4]: '0.0.0.0',
    [OPTION.bridgeName]: bridgeName,
    [OPTION.mtu]: String(options.mtu || 1500),
  };
}

async function ipv4Pool(
  before: NetworkRecord,
  options: DefaultBridgeOptions,
  subnets: SubnetChoice,
): Promise<AddressPool> {
  const stored = before.pools.find((pool) => familyOf(pool) === 4);
  const { bip = '', fixedCidr = '', defaultGateway = '' } = options;
  const chosen = await ipv4Subnet(stored, bip, fixedCidr, subnets);
  const range = fixedCidr === '' ? undefined : parseCidr(fixedCidr).subnet;
  if (range !== undefined && !containsSubnet(chosen.subnet, range)) {
    throw new InvalidParameterError(
      `invalid --fixed-cidr ${fixedCidr}: it is not in the bridge's subnet ${formatSubnet(chosen.subnet)}`,
    );
  }
  return {
    subnet: formatSubnet(chosen.subnet),
    range:
      range === undefined || range.prefixLength === chosen.subnet.prefixLength ? '' : formatSubnet(range),
    gateway: chosen.gateway,
    auxiliary: gatewayOverride('DefaultGatewayIPv4', '--default-gateway', defaultGateway, chosen.subnet),
    configured: bip !== '' || fixedCidr !== '',
  };
}

async function ipv4Subnet(
  stored: AddressPool | undefined,
  bip: string,
  fixedCidr: string,
  subnets: SubnetChoice,
): Promise<{ subnet: Subnet; gateway: string }> {
  if (bip !== '') return bridgeAddress(bip);
  if (fixedCidr !== '') {
    const within = stored === undefined ? undefined : parseSubnet(stored.subnet);
    if (
      stored === undefined ||
      within === undefined ||
      !containsSubnet(within, parseCidr(fixedCidr).subnet)
    ) {
      return firstOf(parseCidr(fixedCidr).subnet);
    }
  }
  if (stored !== undefined) return { subnet: parseSubnet(stored.subnet), gateway: stored.gateway };
  return firstOf(await subnets.choose(4, 'bridge'));
}

async function ipv6Pool(
  before: NetworkRecord,
  options: DefaultBridgeOptions,
  subnets: SubnetChoice,
): Promise<AddressPool> {
  const stored = before.pools.find((pool) => familyOf(pool) === 6);
  const { fixedCidrV6 = '', defaultGatewayV6 = '' } = options;
  const subnet =
    fixedCidrV6 !== ''
      ? parseCidr(fixedCidrV6).subnet
      : stored !== undefined
        ? parseSubnet(stored.subnet)
        : await subnets.choose(6, 'bridge');
  const { gateway } = firstOf(subnet);
  return {
    subnet: formatSubnet(subnet),
    range: '',
    gateway,
    auxiliary: gatewayOverride('DefaultGatewayIPv6', '--default-gateway-v6', defaultGatewayV6, subnet),
    configured: fixedCidrV6 !== '',
  };
}

function firstOf(subnet: Subnet): { subnet: Subnet; gateway: string } {
  return { subnet, gateway: formatAddress(addressAt(subnet, 1n)) };
}

function gatewayOverride(key: string, flag: string, text: string, subnet: Subnet): Record<string, string> {
  if (text === '') return {};
  const address = parseAddress(text);
  if (!contains(subnet, address) || !isHostAddress(subnet, address)) {
    throw new InvalidParameterError(
      `invalid ${flag} ${text}: it is not in the bridge's subnet ${formatSubnet(subnet)}`,
    );
  }
  return { [key]: formatAddress(address) };
}

function bridgeAddress(bip: string): { subnet: Subnet; gateway: string } {
  const { address, subnet } = parseCidr(bip);
  const { prefixLength } = subnet;
  if (address.family !== 4 || !isHostAddress(subnet, address) || prefixLength < 8 || prefixLength > 29) {
    throw new InvalidParameterError(
      `invalid --bip ${bip}: want the bridge's own address in a /8 to /29, as 10.9.0.1/24`,
    );
  }
  return { subnet, gateway: formatAddress(address) };
}
