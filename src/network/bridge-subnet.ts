/**
 * The subnet of the default bridge: what `--bip` says, else what was chosen at the first start, else a free pool.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Subnet } from './address.ts';
import { formatIPv4, formatSubnet, parseCidr, parseIPv4 } from './address.ts';
import { usedSubnets } from './links.ts';
import type { NetworkStore, PredefinedNetwork } from './network-store.ts';
import { chooseSubnet } from './subnet-choice.ts';

/** The bridge's subnet and own address: `--bip`, what was chosen before, or a free pool; written down. */
export async function settleSubnet(
  store: NetworkStore,
  bridgeName: string,
  bip: string | undefined,
): Promise<{ subnet: Subnet; gateway: number }> {
  const stored = store.predefined('bridge');
  const before = storedSubnet(stored);
  if (
    before !== undefined &&
    (bip === undefined || bip === `${stored.gateway}/${before.subnet.prefixLength}`)
  ) {
    return before;
  }
  if (before !== undefined && store.endpoints().length > 0) {
    log.warn(
      { bip, subnet: stored.subnet },
      'network: containers are attached; --bip takes effect once none is',
    );
    return before;
  }
  const chosen = bip === undefined ? await firstFreeSubnet(bridgeName) : parseBridgeAddress(bip);
  store.setBridgeSubnet(formatSubnet(chosen.subnet), formatIPv4(chosen.gateway));
  return chosen;
}

function storedSubnet(network: PredefinedNetwork): { subnet: Subnet; gateway: number } | undefined {
  if (network.subnet === '') return undefined;
  return { subnet: parseCidr(network.subnet).subnet, gateway: parseIPv4(network.gateway) };
}

async function firstFreeSubnet(bridgeName: string): Promise<{ subnet: Subnet; gateway: number }> {
  const subnet = chooseSubnet(await usedSubnets(bridgeName));
  return { subnet, gateway: subnet.base + 1 };
}

function parseBridgeAddress(bip: string): { subnet: Subnet; gateway: number } {
  const { address, subnet } = parseCidr(bip);
  if (address === subnet.base || subnet.prefixLength < 8 || subnet.prefixLength > 29) {
    throw new InvalidParameterError(
      `invalid --bip ${bip}: want the bridge's own address in a /8 to /29, as 10.9.0.1/24`,
    );
  }
  return { subnet, gateway: address };
}
