/** What networks, ports and restricted containers are in the table: elements of its sets. */
import type { Family, IpAddress, Subnet } from '../ip-address.ts';
import { addressAt, addressBytes, containsSubnet, lastAddress, parseMac } from '../ip-address.ts';
import { interfaceNameBytes } from '../netlink/nft-expressions.ts';
import { joinKey, NFPROTO } from '../netlink/nft-fields.ts';
import type { Element } from '../netlink/nft-sets.ts';
import type { EgressRule, FirewallNetwork, GatewayMode, PublishedPort } from './model.ts';
import { ARRIVAL_CHAINS, PORT_PROTOCOL_NUMBERS } from './ruleset.ts';
import { FAMILIES, familySets, SETS } from './tables.ts';

export interface Placed {
  set: string;
  element: Element;
}

export function gatewayMode(network: FirewallNetwork, family: Family): GatewayMode {
  return family === 4 ? network.gatewayMode.ipv4 : network.gatewayMode.ipv6;
}

function isConfined(network: FirewallNetwork): boolean {
  return (
    network.internal || network.subnets.some(({ family }) => gatewayMode(network, family) === 'isolated')
  );
}

export function networkElements(network: FirewallNetwork): Placed[] {
  const bridge = interfaceNameBytes(network.bridge);
  const confined = isConfined(network);
  return [
    { set: SETS.bridges, element: { key: bridge } },
    ...(network.icc ? [{ set: SETS.inside, element: { key: joinKey(bridge, bridge) } }] : []),
    ...(confined ? [{ set: SETS.confined, element: { key: bridge } }] : []),
    ...FAMILIES.map((family) => {
      const mode = gatewayMode(network, family);
      const open = !confined && network.subnets.some((subnet) => subnet.family === family);
      const key = joinKey(bridge, Uint8Array.of(NFPROTO[family]));
      const verdict = open && mode !== 'isolated' ? { goto: ARRIVAL_CHAINS[mode] } : ('drop' as const);
      return { set: SETS.arrivals, element: { key, verdict } };
    }),
    ...network.subnets.flatMap((subnet) => subnetElements(network, subnet)),
  ];
}

function subnetElements(network: FirewallNetwork, subnet: Subnet): Placed[] {
  const { own, masquerade } = familySets(subnet.family);
  const { first, last } = bounds(subnet);
  const bridge = interfaceNameBytes(network.bridge);
  const placed: Placed[] = [
    { set: own, element: { key: joinKey(bridge, first), keyEnd: joinKey(bridge, last) } },
  ];
  const translated = gatewayMode(network, subnet.family).startsWith('nat');
  const wanted = subnet.family === 4 ? network.masquerade.ipv4 : network.masquerade.ipv6;
  if (translated && wanted && !isConfined(network)) {
    const { family, value } = lastAddress(subnet);
    const behind = addressBytes({ family, value: value + 1n });
    placed.push({ set: masquerade, element: { key: first } });
    placed.push({ set: masquerade, element: { key: behind, intervalEnd: true } });
  }
  return placed;
}

function bounds(subnet: Subnet): { first: Buffer; last: Buffer } {
  return { first: addressBytes(addressAt(subnet, 0n)), last: addressBytes(lastAddress(subnet)) };
}

function portBytes(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(port);
  return bytes;
}

/** `hostIp` as an address, undefined for all of them. */
export function portElement(port: PublishedPort, mode: GatewayMode, hostIp: IpAddress | undefined): Placed {
  const sets = familySets(port.containerAddress.family);
  const protocol = Uint8Array.of(PORT_PROTOCOL_NUMBERS[port.protocol]);
  const container = addressBytes(port.containerAddress);
  const containerPort = portBytes(port.containerPort);
  if (mode === 'routed') {
    return { set: sets.open, element: { key: joinKey(container, protocol, containerPort) } };
  }
  const data = joinKey(container, containerPort);
  const onPort = [protocol, portBytes(port.hostPort)];
  return hostIp === undefined
    ? { set: sets.published, element: { key: joinKey(...onPort), data } }
    : { set: sets.publishedOn, element: { key: joinKey(addressBytes(hostIp), ...onPort), data } };
}

/** Its own addresses and the link-local one that the kernel makes of its MAC address (EUI-64). */
export function ruleAddresses(rule: EgressRule): IpAddress[] {
  const mac = parseMac(rule.macAddress);
  const bytes = Buffer.from('fe80000000000000000000fffe000000', 'hex');
  mac.copy(bytes, 8, 0, 3);
  mac.copy(bytes, 13, 3, 6);
  bytes[8] = (bytes[8] ?? 0) ^ 2;
  return [...rule.addresses, { family: 6, value: BigInt(`0x${bytes.toString('hex')}`) }];
}

export function ruleElements(rule: EgressRule): Placed[] {
  const subnets = withoutContained(rule.subnets);
  const port = { set: SETS.ports, element: { key: interfaceNameBytes(rule.hostInterface) } };
  const confined = ruleAddresses(rule).flatMap((address): Placed[] => {
    const { restricted, refused } = familySets(address.family);
    const key = addressBytes(address);
    return [
      { set: restricted, element: { key } },
      { set: refused, element: { key } },
    ];
  });
  const allowed = rule.addresses.flatMap((address) =>
    subnets
      .filter(({ family }) => family === address.family)
      .map((subnet): Placed => {
        const { first, last } = bounds(subnet);
        const source = addressBytes(address);
        const element = { key: joinKey(source, first), keyEnd: joinKey(source, last) };
        return { set: familySets(address.family).allowed, element };
      }),
  );
  return [port, ...confined, ...allowed];
}

/** The kernel refuses ranges that overlap. */
function withoutContained(subnets: readonly Subnet[]): Subnet[] {
  const kept: Subnet[] = [];
  for (const subnet of [...subnets].sort((a, b) => a.prefixLength - b.prefixLength)) {
    if (!kept.some((outer) => containsSubnet(outer, subnet))) kept.push(subnet);
  }
  return kept;
}

/** Elements by their sets, in order. */
export function bySet(placed: readonly Placed[]): Map<string, Element[]> {
  const sets = new Map<string, Element[]>();
  for (const { set, element } of placed) {
    const elements = sets.get(set) ?? [];
    elements.push(element);
    sets.set(set, elements);
  }
  return sets;
}

/** Which element of which set it is. */
export function placeKey({ set, element }: Placed): string {
  return `${set} ${Buffer.from(element.key).toString('hex')}`;
}
