/**
 * The predefined networks as the API describes them (`Network` in the Engine API).
 */
import type { Network } from '../api/networks.ts';
import type { PredefinedNetwork } from './network-store.ts';

const DRIVERS = { bridge: 'bridge', host: 'host', none: 'null' } as const;

/** Without containers: those are the manager's to fill in. */
export function describeNetwork(network: PredefinedNetwork, bridgeName: string, mtu: number): Network {
  const isBridge = network.name === 'bridge';
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: DRIVERS[network.name],
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: isBridge ? [{ Subnet: network.subnet, Gateway: network.gateway }] : null,
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: isBridge ? bridgeOptions(bridgeName, mtu) : {},
    Labels: {},
  };
}

function bridgeOptions(bridgeName: string, mtu: number): Record<string, string> {
  return {
    'com.docker.network.bridge.default_bridge': 'true',
    'com.docker.network.bridge.enable_icc': 'true',
    'com.docker.network.bridge.enable_ip_masquerade': 'true',
    'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0',
    'com.docker.network.bridge.name': bridgeName,
    'com.docker.network.driver.mtu': String(mtu),
  };
}
