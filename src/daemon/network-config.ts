/**
 * The part of the daemon's configuration that is about networks: the default bridge, where subnets are taken from,
 * and whether published ports obey the host's firewall. Names are those of Docker's daemon.json, but for `firewall`.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { containsSubnet, familyBits, parseAddress, parseCidr, parseSubnet } from '../network/ip-address.ts';
import { type AddressPoolConfig, type Directive, directive } from './directive.ts';

export interface NetworkConfig {
  /** Address with prefix length of the default bridge, such as 10.9.0.1/24; empty for a free default range. */
  bip: string;
  /** The part of the default bridge's subnet that containers get addresses of; empty for all of it. */
  fixedCidr: string;
  /** The default bridge's IPv6 subnet; empty for one of the daemon's own where `ipv6` is set. */
  fixedCidrV6: string;
  /** Where containers of the default bridge send packets for elsewhere; empty for the bridge itself. */
  defaultGateway: string;
  defaultGatewayV6: string;
  /** The default bridge has IPv6. */
  ipv6: boolean;
  /** Of the default bridge. 0 for the default, 1500. */
  mtu: number;
  /** Containers on the default bridge reach each other. */
  icc: boolean;
  /** Where subnets of networks that name none are taken from; empty for Docker's ranges. */
  defaultAddressPools: AddressPoolConfig[];
  /** Whether published ports are open (Docker's way), or only as far as the host's input rules let them. */
  firewall: 'default' | 'strict';
}

export function networkDefaults(): NetworkConfig {
  return {
    bip: '',
    fixedCidr: '',
    fixedCidrV6: '',
    defaultGateway: '',
    defaultGatewayV6: '',
    ipv6: false,
    mtu: 0,
    icc: true,
    defaultAddressPools: [],
    firewall: 'default',
  };
}

export const NETWORK_DIRECTIVES: readonly Directive<keyof NetworkConfig>[] = [
  directive('bip', 'bip', 'bip', 'text', 'Address and prefix length of the default bridge'),
  directive('fixed-cidr', 'fixed-cidr', 'fixedCidr', 'text', "IPv4 range of the default bridge's containers"),
  directive('fixed-cidr-v6', 'fixed-cidr-v6', 'fixedCidrV6', 'text', 'IPv6 subnet of the default bridge'),
  directive(
    'default-gateway',
    'default-gateway',
    'defaultGateway',
    'text',
    'IPv4 gateway of the default bridge',
  ),
  directive(
    'default-gateway-v6',
    'default-gateway-v6',
    'defaultGatewayV6',
    'text',
    'IPv6 gateway of the default bridge',
  ),
  directive('ipv6', 'ipv6', 'ipv6', 'flag', 'Enable IPv6 on the default bridge'),
  directive('mtu', 'mtu', 'mtu', 'count', 'MTU of the default bridge'),
  directive(
    'icc',
    'icc',
    'icc',
    'switch',
    'Let containers on the default bridge reach each other (default true)',
  ),
  directive(
    'default-address-pool',
    'default-address-pools',
    'defaultAddressPools',
    'pools',
    'Range that subnets of new networks are taken from: base=SUBNET,size=PREFIX_LENGTH',
  ),
  directive(
    'firewall',
    'firewall',
    'firewall',
    'text',
    "default: published ports are open; strict: only as far as the host's own input rules let them",
  ),
];

/** Throws InvalidParameter naming the directive. What the host's own addresses forbid shows when the daemon starts. */
export function checkNetworkConfig(config: NetworkConfig): void {
  if (config.firewall !== 'default' && config.firewall !== 'strict') {
    throw new InvalidParameterError(
      `invalid --firewall "${String(config.firewall)}": one of default, strict`,
    );
  }
  if (config.mtu !== 0 && (config.mtu < 68 || config.mtu > 65535)) {
    throw new InvalidParameterError(`invalid --mtu ${config.mtu}: want 68 to 65535`);
  }
  check('bip', config.bip, (text) => ofFamily(parseCidr(text).subnet, 4));
  const fixed = check('fixed-cidr', config.fixedCidr, (text) => ofFamily(parseCidr(text).subnet, 4));
  if (fixed !== undefined && config.bip !== '' && !containsSubnet(parseCidr(config.bip).subnet, fixed)) {
    throw new InvalidParameterError(
      `invalid --fixed-cidr "${config.fixedCidr}": it is not in the subnet of --bip ${config.bip}`,
    );
  }
  check('fixed-cidr-v6', config.fixedCidrV6, (text) => ofFamily(parseCidr(text).subnet, 6));
  check('default-gateway', config.defaultGateway, (text) => ofFamily(parseAddress(text), 4));
  check('default-gateway-v6', config.defaultGatewayV6, (text) => ofFamily(parseAddress(text), 6));
  for (const { base, size } of config.defaultAddressPools) {
    const subnet = check('default-address-pool', base, parseSubnet);
    if (subnet !== undefined && size >= subnet.prefixLength && size <= familyBits(subnet.family) - 1)
      continue;
    throw new InvalidParameterError(
      `invalid --default-address-pool base=${base},size=${size}: the size must be a prefix length within the base`,
    );
  }
}

function check<T>(name: string, text: string, parse: (text: string) => T): T | undefined {
  if (text === '') return undefined;
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidParameterError(`invalid --${name} "${text}"`, error);
  }
}

function ofFamily<T extends { family: number }>(value: T, family: 4 | 6): T {
  if (value.family !== family) throw new InvalidParameterError(`want an IPv${family} address`);
  return value;
}
