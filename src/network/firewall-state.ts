/** Networks, ports and policies in the firewall's words. Pure. */
import { flagOption, gatewayMode, OPTION } from './driver-options.ts';
import type { EgressRule, FirewallNetwork } from './firewall/model.ts';
import { parseAddress, parseSubnet } from './ip-address.ts';
import type { EgressPolicy, NetworkRecord } from './model.ts';
import type { EndpointRow } from './network-store.ts';
import { addressesOf } from './network-store.ts';

/** Undefined for networks that pass no bridge of this host. */
export function firewallNetwork(record: NetworkRecord): FirewallNetwork | undefined {
  if (record.driver !== 'bridge' || record.configOnly) return undefined;
  const { options } = record;
  const masquerade = flagOption(options, OPTION.masquerade, true);
  return {
    id: record.id,
    bridge: record.hostInterface,
    subnets: record.pools.map(({ subnet }) => parseSubnet(subnet)),
    internal: record.internal,
    icc: flagOption(options, OPTION.icc, true),
    masquerade: { ipv4: masquerade, ipv6: masquerade },
    gatewayMode: { ipv4: gatewayMode(options, 4), ipv6: gatewayMode(options, 6) },
  };
}

export function egressRule(row: EndpointRow, policy: EgressPolicy): EgressRule {
  return {
    containerId: row.containerId,
    addresses: [...addressesOf(row), ...row.linkLocal].map(parseAddress),
    macAddress: row.macAddress,
    hostInterface: row.hostInterface,
    subnets: policy.subnets.map(parseSubnet),
    names: policy.names,
  };
}
