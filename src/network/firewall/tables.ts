/**
 * The names of the sets and maps in an engine's table, and what their keys are made of. `4` and `6` at the end of a
 * name are the family of its addresses.
 */
import type { Family } from '../ip-address.ts';
import type { Field } from '../netlink/nft-fields.ts';
import { addressFields, field, keyOf } from '../netlink/nft-fields.ts';
import { concatenatedType, DATA_TYPE } from '../netlink/nft-sets.ts';
import type { NftBatch } from '../netlink/nftables.ts';

export const FAMILIES = [4, 6] as const satisfies Family[];

export const SETS = {
  /** Interfaces. */
  bridges: 'bridges',
  /** Input and output interface: a bridge to itself, where containers may talk to each other. */
  inside: 'inside',
  /** Bridges of internal networks. */
  confined: 'confined',
  /** Output interface and family: what becomes of a packet to a bridge that comes from elsewhere. */
  arrivals: 'arrivals',
  /** Containers' ends of cables whose packets must come by way of the bridge. */
  ports: 'ports',
  portProtocols: 'port_protocols',
  neighbourDiscovery: 'neighbour_discovery',
} as const;

/** Sets of each family. */
export const familySets = (family: Family) =>
  ({
    /** Interface and subnet of a network. */
    own: `own${family}`,
    /** Subnets whose packets leave with the host's address. */
    masquerade: `masquerade${family}`,
    /** Protocol and port of all the host's addresses: container's address and port. */
    published: `published${family}`,
    /** The same for one address of the host. */
    publishedOn: `published${family}_on`,
    /** Address, protocol and port of containers in routed networks. */
    open: `open${family}`,
    uplinks: `uplinks${family}`,
    /** Addresses of containers that may not go everywhere. */
    restricted: `restricted${family}`,
    /** The same, with a count of packets that were refused. */
    refused: `refused${family}`,
    /** Source, and where it may go: subnets, addresses for some time, addresses that it keeps using. */
    allowed: `allowed${family}`,
    admitted: `admitted${family}`,
    used: `used${family}`,
    /** Source, destination, protocol and port of packets that were refused. */
    blocked: `blocked${family}`,
    /** What the host's own input policy let in: interface, source, destination, protocol and port. */
    visitors: `visitors${family}`,
  }) as const;

/** How many refused destinations are remembered, of all containers. */
const BLOCKED_MAX = 4096;
const USED_MAX = 16_384;
const VISITORS_MAX = 65_535;

const { protocol, destinationPort } = field;

/** The key of one family's sets, from the packet. */
export function keys(family: Family) {
  const { source, destination } = addressFields(family);
  return {
    publishedOn: [destination, protocol, destinationPort],
    published: [protocol, destinationPort],
    pair: [source, destination],
    blocked: [source, destination, protocol, destinationPort],
    visitor: [field.inputInterface, source, destination, protocol, destinationPort],
    source: [source],
    destination: [destination],
  } as const satisfies Record<string, readonly Field[]>;
}

/** All sets, empty. */
export function addSets(batch: NftBatch): void {
  for (const name of [SETS.bridges, SETS.confined, SETS.ports]) {
    batch.addSet({ name, ...keyOf([field.inputInterface]), hostByteOrder: true });
  }
  batch.addSet({ name: SETS.inside, ...keyOf([field.inputInterface, field.outputInterface]) });
  batch.addSet({ name: SETS.arrivals, ...keyOf([field.outputInterface, field.family]), verdicts: true });
  batch.addSet({ name: SETS.portProtocols, ...keyOf([protocol]) });
  batch.addSet({ name: SETS.neighbourDiscovery, keyType: 29, keyBytes: 1 });
  for (const family of FAMILIES) addFamilySets(batch, family);
}

function addFamilySets(batch: NftBatch, family: Family): void {
  const names = familySets(family);
  const key = keys(family);
  const addressBytes = family === 4 ? 4 : 16;
  const address = family === 4 ? DATA_TYPE.ipv4Address : DATA_TYPE.ipv6Address;
  const data = { type: concatenatedType([address, DATA_TYPE.port]), bytes: addressBytes + 4 };
  batch.addSet({ name: names.published, ...keyOf(key.published), data });
  batch.addSet({ name: names.publishedOn, ...keyOf(key.publishedOn), data });
  batch.addSet({ name: names.open, ...keyOf(key.publishedOn) });
  batch.addSet({ name: names.uplinks, ...keyOf([field.inputInterface]), hostByteOrder: true });
  const own = [field.inputInterface, key.source[0]];
  batch.addSet({ name: names.own, ...keyOf(own), interval: true, fields: own.map(({ bytes }) => bytes) });
  batch.addSet({ name: names.masquerade, ...keyOf(key.source), interval: true });
  batch.addSet({ name: names.restricted, ...keyOf(key.source) });
  batch.addSet({ name: names.refused, ...keyOf(key.source), counters: true });
  batch.addSet({
    name: names.allowed,
    ...keyOf(key.pair),
    interval: true,
    fields: key.pair.map(({ bytes }) => bytes),
  });
  batch.addSet({ name: names.admitted, ...keyOf(key.pair), timeouts: true });
  const filledByRules = { timeouts: true, dynamic: true };
  batch.addSet({ name: names.used, ...keyOf(key.pair), ...filledByRules, size: USED_MAX });
  batch.addSet({ name: names.blocked, ...keyOf(key.blocked), ...filledByRules, size: BLOCKED_MAX });
  batch.addSet({ name: names.visitors, ...keyOf(key.visitor), ...filledByRules, size: VISITORS_MAX });
}
