/**
 * Which of a container's networks takes packets for elsewhere, for each family of addresses: the endpoint with the
 * highest priority, among equals the one whose network's name comes first. Internal networks lead nowhere. Pure.
 */
import { OPTION } from './driver-options.ts';
import { contains, parseAddress, parseSubnet } from './ip-address.ts';
import type { DefaultRoute } from './links/endpoint-plan.ts';
import type { AddressPool, NetworkRecord } from './model.ts';
import type { EndpointRow } from './network-store.ts';

/** Docker's names of auxiliary addresses that stand in the gateway's place for containers. */
const GATEWAY_OVERRIDES = { 4: 'DefaultGatewayIPv4', 6: 'DefaultGatewayIPv6' } as const;

/** The pool that an address of the network lies in. */
export function poolOf(network: NetworkRecord, address: string): AddressPool | undefined {
  const parsed = parseAddress(address);
  return network.pools.find(({ subnet }) => contains(parseSubnet(subnet), parsed));
}

/** Undefined where the network leads nowhere; empty text where packets go straight out of the interface. */
export function gatewayOf(network: NetworkRecord, address: string): string | undefined {
  if (network.internal || address === '') return undefined;
  const mode = network.options[OPTION.ipvlanMode] ?? '';
  if (network.driver === 'ipvlan' && mode.startsWith('l3')) return '';
  const pool = poolOf(network, address);
  if (pool === undefined) return undefined;
  const gateway = pool.auxiliary[GATEWAY_OVERRIDES[address.includes(':') ? 6 : 4]] ?? pool.gateway;
  return gateway === '' ? undefined : gateway;
}

/** The endpoint that has the default route of a family; undefined where none leads anywhere. */
export function gatewayEndpoint(
  rows: readonly EndpointRow[],
  networkOf: (id: string) => NetworkRecord,
  family: 4 | 6,
): EndpointRow | undefined {
  const nameOf = (row: EndpointRow) => networkOf(row.networkId).name;
  return rows
    .filter((row) => gatewayOf(networkOf(row.networkId), addressIn(row, family)) !== undefined)
    .sort((a, b) => b.gwPriority - a.gwPriority || (nameOf(a) < nameOf(b) ? -1 : 1))[0];
}

export interface DefaultRoutes {
  ipv4?: DefaultRoute;
  ipv6?: DefaultRoute;
}

export function defaultRoutes(
  rows: readonly EndpointRow[],
  networkOf: (id: string) => NetworkRecord,
): DefaultRoutes {
  const route = (family: 4 | 6): DefaultRoute | undefined => {
    const row = gatewayEndpoint(rows, networkOf, family);
    const gateway = row && gatewayOf(networkOf(row.networkId), addressIn(row, family));
    return row === undefined || gateway === undefined
      ? undefined
      : { gateway, interface: row.containerInterface };
  };
  const [ipv4, ipv6] = [route(4), route(6)];
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

export function sameRoutes(a: DefaultRoutes, b: DefaultRoutes): boolean {
  return (['ipv4', 'ipv6'] as const).every(
    (family) => a[family]?.gateway === b[family]?.gateway && a[family]?.interface === b[family]?.interface,
  );
}

export function addressIn(row: Pick<EndpointRow, 'ipv4' | 'ipv6'>, family: 4 | 6): string {
  return family === 4 ? row.ipv4 : row.ipv6;
}
