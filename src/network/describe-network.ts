/** Networks and sandboxes as the API and the engine see them (`Network` in the Engine API). Pure. */
import type { IPAMConfig, Network, NetworkContainer } from '../api/networks.ts';
import { gatewayOf, poolOf } from './gateway-choice.ts';
import { parseSubnet } from './ip-address.ts';
import type { AddressPool, Endpoint, NetworkRecord, Sandbox } from './model.ts';
import { dnsNames } from './network-names.ts';
import type { EndpointRow, SandboxRow } from './network-store.ts';

export type NetworkOf = (id: string) => NetworkRecord;

/** Without containers. */
export function describeNetwork(record: NetworkRecord): Network {
  return {
    Name: record.name,
    Id: record.id,
    Created: record.created,
    Scope: 'local',
    Driver: record.driver,
    EnableIPv4: record.ipv4,
    EnableIPv6: record.ipv6,
    IPAM: {
      Driver: 'default',
      Options: Object.keys(record.ipamOptions).length === 0 ? null : record.ipamOptions,
      Config: record.pools.length === 0 ? null : record.pools.map(describePool),
    },
    Internal: record.internal,
    Attachable: record.attachable,
    Ingress: false,
    ConfigFrom: { Network: record.configFrom },
    ConfigOnly: record.configOnly,
    Containers: {},
    Options: { ...record.options },
    Labels: { ...record.labels },
  };
}

function describePool(pool: AddressPool): IPAMConfig {
  return {
    Subnet: pool.subnet,
    ...(pool.range === '' ? {} : { IPRange: pool.range }),
    ...(pool.gateway === '' ? {} : { Gateway: pool.gateway }),
    ...(Object.keys(pool.auxiliary).length === 0 ? {} : { AuxiliaryAddresses: pool.auxiliary }),
  };
}

export function describeContainer(
  record: NetworkRecord,
  sandbox: SandboxRow,
  row: EndpointRow,
): NetworkContainer {
  const withLength = (address: string) =>
    address === '' ? '' : `${address}/${prefixLength(record, address)}`;
  return {
    Name: sandbox.containerName,
    EndpointID: row.endpointId,
    MacAddress: row.macAddress,
    IPv4Address: withLength(row.ipv4),
    IPv6Address: withLength(row.ipv6),
  };
}

export function describeSandbox(
  sandbox: SandboxRow,
  rows: readonly EndpointRow[],
  networkOf: NetworkOf,
): Sandbox {
  return {
    netnsPath: sandbox.netnsPath,
    endpoints: rows.map((row) => describeEndpoint(sandbox, row, networkOf(row.networkId))),
    ports: sandbox.ports,
    dns: sandbox.dnsPorts !== null,
  };
}

function describeEndpoint(sandbox: SandboxRow, row: EndpointRow, network: NetworkRecord): Endpoint {
  return {
    networkId: network.id,
    networkName: network.name,
    endpointId: row.endpointId,
    ipAddress: row.ipv4,
    prefixLength: prefixLength(network, row.ipv4),
    gateway: gatewayOf(network, row.ipv4) ?? '',
    ipv6Address: row.ipv6,
    ipv6PrefixLength: prefixLength(network, row.ipv6),
    ipv6Gateway: gatewayOf(network, row.ipv6) ?? '',
    macAddress: row.macAddress,
    dnsNames: dnsNames(sandbox, row, network),
    containerInterface: row.containerInterface,
    hostInterface: row.hostInterface,
  };
}

/** Of the pool that an address lies in; 0 for none. */
export function prefixLength(network: NetworkRecord, address: string): number {
  const pool = address === '' ? undefined : poolOf(network, address);
  return pool === undefined ? 0 : parseSubnet(pool.subnet).prefixLength;
}
