/**
 * The rules of an engine's table. They never change while the engine runs: networks, ports and containers are
 * elements of the sets that the rules ask (tables.ts, elements.ts).
 *
 * The way of a packet to a published port 8080 of container 172.17.0.2:80:
 * - from another host it meets `prerouting`, from this host `output`; both look protocol and port up in a map and
 *   translate the destination. `forward` lets it pass because it was translated.
 * - from 127.0.0.1 the source must become one that the container can answer: `postrouting` masquerades it with the
 *   bridge's address (needs route_localnet on the bridge). IPv6 has no such thing: [::1] and link-local addresses
 *   are left to the socket that holds the port.
 * - from a container of the same network the answer would take the short way over the bridge and miss the
 *   translation back: masqueraded too. Other sources are kept.
 *
 * In strict mode a packet from outside is translated only where the host's own input policy has let one like it in.
 * How: the first one is not translated, so that it goes to the INPUT hook, past the chains of everybody else (ufw,
 * firewalld, nft, iptables). If it is still there at the end, `visitors` remembers interface, client, address,
 * protocol and port for VISITOR_MS, and the packet is dropped: the client's retransmission (TCP: after a second; UDP:
 * the program's own) is translated. So the first connection of a client takes a second longer; what INPUT would do to
 * later ones (rate limits, times of day) does not count until the visitor is forgotten, which a change of the
 * nftables rules by anybody brings about within seconds. Rules that change in iptables-legacy count after VISITOR_MS.
 *
 * Containers that are kept in are judged in `egress`, before any translation, so that their policy means the address
 * that they asked for. A packet of theirs passes if it answers a connection that came in, stays in its network, or
 * goes where it may go; it never gets at an address of the host that is not named. bridge-guard.ts keeps them from
 * using other sources.
 */
import type { Family } from '../ip-address.ts';
import type { Expression } from '../netlink/nft-expressions.ts';
import {
  ADDRESS_TYPE,
  byVerdictMap,
  CONNECTION_STATE,
  connectionState,
  constant,
  decide,
  destinationTranslated,
  field,
  hasPrefix,
  inMap,
  inSet,
  is,
  isFamily,
  isNumber,
  masquerade,
  PACKET_TYPE,
  reject,
  remember,
  translateBy,
} from '../netlink/nft-fields.ts';
import { DATA_TYPE } from '../netlink/nft-sets.ts';
import type { NftBatch } from '../netlink/nftables.ts';
import { FAMILIES, familySets, keys, SETS } from './tables.ts';

/** Netfilter's priorities. Connection tracking is at -200; that of the last chain is behind whatever others use. */
const PRIORITY = {
  raw: -300,
  egress: -150,
  destinationNat: -100,
  filter: 0,
  sourceNat: 100,
  last: 1_000_000,
} as const;

const IPPROTO = { icmp: 1, icmpv6: 58 } as const;

/** Neighbour and router discovery. */
export const NEIGHBOUR_DISCOVERY_TYPES = [133, 134, 135, 136] as const;
export const PORT_PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** A refused destination is remembered so long after the last attempt. */
export const BLOCKED_MS = 3_600_000;
/** An address that was admitted may be used on while no pause between new connections is longer. */
const USED_MS = 600_000;
/** See above. */
const VISITOR_MS = 300_000;

/** Chains for packets that come to a bridge from elsewhere, by the network's gateway mode. */
export const ARRIVAL_CHAINS = {
  nat: 'arrive_translated',
  routed: 'arrive_open_port',
  'nat-unprotected': 'arrive_any',
} as const;

const ESTABLISHED = CONNECTION_STATE.established | CONNECTION_STATE.related;
const LOOPBACK_IPV4 = { address: Uint8Array.of(127, 0, 0, 0), mask: Uint8Array.of(255, 0, 0, 0) };
const LOOPBACK_IPV6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL_IPV6 = ipv6Prefix(0xfe, 0x80);
const LINK_LOCAL_MASK = ipv6Prefix(0xff, 0xc0);

function ipv6Prefix(...bytes: number[]): Uint8Array {
  const address = new Uint8Array(16);
  address.set(bytes);
  return address;
}

const linkLocal = (equal: boolean): Expression[] =>
  hasPrefix(field.ipv6Destination, LINK_LOCAL_IPV6, LINK_LOCAL_MASK, equal);

const established = (): Expression[] => connectionState(ESTABLISHED);

/** All chains and their rules; the sets must be there. */
export function addRules(batch: NftBatch, mode: 'default' | 'strict'): void {
  addMartians(batch);
  addEgress(batch);
  addTranslation(batch, mode);
  addMasquerading(batch);
  addForward(batch);
  addInput(batch);
  if (mode === 'strict') addVisitors(batch);
}

function addMartians(batch: NftBatch): void {
  // route_localnet on the bridges lets 127.0.0.0/8 through where the kernel would drop it: nothing from outside the
  // loopback may carry it. Before connection tracking, so that translated answers to 127.0.0.1 are not meant.
  const chain = 'martians';
  batch.addChain({ name: chain, type: 'filter', hook: 'prerouting', priority: PRIORITY.raw });
  for (const side of [field.ipv4Source, field.ipv4Destination]) {
    batch.addRule(chain, [
      ...isInterface(field.inputInterface, 'lo', false),
      ...isFamily(4),
      ...hasPrefix(side, LOOPBACK_IPV4.address, LOOPBACK_IPV4.mask),
      ...decide('drop'),
    ]);
  }
  // Frames to the reserved group addresses (01:80:c2:…) pass the bridge by.
  batch.addRule(chain, [...inSet(SETS.ports, [field.inputInterface]), ...decide('drop')]);
}

function isInterface(part: typeof field.inputInterface, name: string, equal: boolean): Expression[] {
  const bytes = Buffer.alloc(part.bytes);
  bytes.write(name);
  return is(part, bytes, equal);
}

function addEgress(batch: NftBatch): void {
  const chain = 'egress';
  for (const family of FAMILIES) {
    addConfinement(batch, family);
  }
  batch.addChain({ name: chain, type: 'filter', hook: 'prerouting', priority: PRIORITY.egress });
  batch.addRule(chain, [...established(), ...decide('accept')]);
  for (const family of FAMILIES) {
    batch.addRule(chain, [
      ...isFamily(family),
      ...inSet(familySets(family).restricted, keys(family).source),
      ...decide({ jump: `confine${family}` }),
    ]);
  }
}

/** Returns for packets that may pass. */
function addConfinement(batch: NftBatch, family: Family): void {
  const sets = familySets(family);
  const key = keys(family);
  const chain = `confine${family}`;
  const refuse = `refuse${family}`;
  const allow = (...expressions: Expression[][]): void => {
    batch.addRule(chain, [...expressions.flat(), ...decide('return')]);
  };
  addRefusal(batch, family);
  batch.addTargetChain(chain);
  // Those reach the neighbours on the bridge; the host's own copy is dropped in `input` and `forward`.
  for (const type of [ADDRESS_TYPE.multicast, ADDRESS_TYPE.broadcast]) {
    allow(isNumber(field.destinationType, type));
  }
  if (family === 6) {
    allow(neighbourDiscovery(), isNumber(field.destinationType, ADDRESS_TYPE.local));
    allow(linkLocal(true), isNumber(field.destinationType, ADDRESS_TYPE.local, false));
  }
  allow(
    inSet(sets.own, [field.inputInterface, ...key.destination]),
    isNumber(field.destinationType, ADDRESS_TYPE.unicast),
  );
  allow(inSet(sets.allowed, key.pair));
  const use = remember(sets.used, key.pair, { timeoutMs: USED_MS, refresh: true });
  batch.addRule(chain, [...inSet(sets.admitted, key.pair), ...use]);
  allow(inSet(sets.admitted, key.pair));
  allow(inSet(sets.used, key.pair), use);
  batch.addRule(chain, decide({ goto: refuse }));
}

/** Counts, remembers where to, and rejects. */
function addRefusal(batch: NftBatch, family: Family): void {
  const sets = familySets(family);
  const key = keys(family);
  const chain = `refuse${family}`;
  const noPort = constant(new Uint8Array(2), DATA_TYPE.port);
  const blocked = { timeoutMs: BLOCKED_MS, refresh: true };
  batch.addTargetChain(chain);
  batch.addRule(chain, inSet(sets.refused, key.source));
  batch.addRule(chain, [
    ...inSet(SETS.portProtocols, [field.protocol]),
    ...remember(sets.blocked, key.blocked, blocked),
  ]);
  batch.addRule(chain, [
    ...inSet(SETS.portProtocols, [field.protocol], false),
    ...remember(sets.blocked, [...key.pair, field.protocol, noPort], blocked),
  ]);
  // A program that hears of it need not wait for a timeout. ICMP would not do for TCP: while connect(2) still holds
  // the socket, which is when the answer of a router this near comes, it is not heard.
  const toHost = isNumber(field.packetType, PACKET_TYPE.host);
  const isTcp = isNumber(field.protocol, PORT_PROTOCOL_NUMBERS.tcp);
  batch.addRule(chain, [...toHost, ...isTcp, ...reject('reset')]);
  batch.addRule(chain, [...toHost, ...reject('icmp')]);
  batch.addRule(chain, decide('drop'));
}

function neighbourDiscovery(): Expression[] {
  return [
    ...isFamily(6),
    ...isNumber(field.protocol, IPPROTO.icmpv6),
    ...inSet(SETS.neighbourDiscovery, [field.icmpType]),
  ];
}

/** Addresses of the host that the kernel could not translate: a forwarder listens there. */
function exceptions(family: Family): Expression[] {
  return family === 4 ? [] : [...linkLocal(false), ...is(field.ipv6Destination, LOOPBACK_IPV6, false)];
}

function addTranslation(batch: NftBatch, mode: 'default' | 'strict'): void {
  const translate = 'translate';
  batch.addTargetChain(translate);
  for (const family of FAMILIES) {
    const sets = familySets(family);
    const key = keys(family);
    batch.addRule(translate, [
      ...isFamily(family),
      ...exceptions(family),
      ...translateBy(sets.publishedOn, family, key.publishedOn),
    ]);
    batch.addRule(translate, [
      ...isFamily(family),
      ...exceptions(family),
      ...isNumber(field.destinationType, ADDRESS_TYPE.local),
      ...translateBy(sets.published, family, key.published),
    ]);
  }
  const priority = PRIORITY.destinationNat;
  batch.addChain({ name: 'output', type: 'nat', hook: 'output', priority });
  batch.addRule('output', decide({ goto: translate }));
  batch.addChain({ name: 'prerouting', type: 'nat', hook: 'prerouting', priority });
  if (mode === 'default') {
    batch.addRule('prerouting', decide({ goto: translate }));
    return;
  }
  batch.addRule('prerouting', [
    ...inSet(SETS.bridges, [field.inputInterface]),
    ...decide({ goto: translate }),
  ]);
  for (const family of FAMILIES) {
    batch.addRule('prerouting', [
      ...isFamily(family),
      ...inSet(familySets(family).visitors, keys(family).visitor),
      ...decide({ goto: translate }),
    ]);
  }
}

function addMasquerading(batch: NftBatch): void {
  const chain = 'postrouting';
  batch.addChain({ name: chain, type: 'nat', hook: 'postrouting', priority: PRIORITY.sourceNat });
  for (const family of FAMILIES) {
    const { own, masquerade: leaving } = familySets(family);
    const { source } = keys(family);
    const ownSubnet = [field.outputInterface, ...source];
    batch.addRule(chain, [
      ...isFamily(family),
      ...inSet(leaving, source),
      ...inSet(own, ownSubnet, false),
      ...masquerade(),
    ]);
    batch.addRule(chain, [
      ...isFamily(family),
      ...destinationTranslated(),
      ...inSet(own, ownSubnet),
      ...masquerade(),
    ]);
  }
  batch.addRule(chain, [
    ...inSet(SETS.bridges, [field.outputInterface]),
    ...isFamily(4),
    ...hasPrefix(field.ipv4Source, LOOPBACK_IPV4.address, LOOPBACK_IPV4.mask),
    ...masquerade(),
  ]);
}

function addForward(batch: NftBatch): void {
  addArrivals(batch);
  const chain = 'forward';
  const { inputInterface, outputInterface } = field;
  batch.addChain({ name: chain, type: 'filter', hook: 'forward', priority: PRIORITY.filter });
  batch.addRule(chain, [...established(), ...decide('accept')]);
  batch.addRule(chain, [...inSet(SETS.inside, [inputInterface, outputInterface]), ...decide('accept')]);
  batch.addRule(chain, [...inSet(SETS.confined, [inputInterface]), ...decide('drop')]);
  addGroupTraffic(batch, chain);
  batch.addRule(chain, byVerdictMap(SETS.arrivals, [outputInterface, field.family]));
  for (const family of FAMILIES) {
    const { uplinks } = familySets(family);
    batch.addRule(chain, [
      ...isFamily(family),
      ...inSet(uplinks, [inputInterface]),
      ...inSet(uplinks, [outputInterface]),
      ...decide('drop'),
    ]);
  }
}

function addArrivals(batch: NftBatch): void {
  for (const chain of Object.values(ARRIVAL_CHAINS)) {
    batch.addTargetChain(chain);
    batch.addRule(chain, [...destinationTranslated(), ...decide('accept')]);
  }
  for (const family of FAMILIES) {
    batch.addRule(ARRIVAL_CHAINS.routed, [
      ...isFamily(family),
      ...inSet(familySets(family).open, keys(family).publishedOn),
      ...decide('accept'),
    ]);
    batch.addRule(ARRIVAL_CHAINS.routed, [
      ...isFamily(family),
      ...isNumber(field.protocol, family === 4 ? IPPROTO.icmp : IPPROTO.icmpv6),
      ...decide('accept'),
    ]);
  }
  batch.addRule(ARRIVAL_CHAINS['nat-unprotected'], [
    ...inSet(SETS.bridges, [field.inputInterface], false),
    ...decide('accept'),
  ]);
  for (const chain of Object.values(ARRIVAL_CHAINS)) batch.addRule(chain, decide('drop'));
}

/** What containers that are kept in send to groups of hosts stays on their bridge. */
function addGroupTraffic(batch: NftBatch, chain: string): void {
  for (const family of FAMILIES) {
    for (const type of family === 4
      ? [ADDRESS_TYPE.multicast, ADDRESS_TYPE.broadcast]
      : [ADDRESS_TYPE.multicast]) {
      batch.addRule(chain, [
        ...isFamily(family),
        ...inSet(familySets(family).restricted, keys(family).source),
        ...isNumber(field.destinationType, type),
        ...decide('drop'),
      ]);
    }
  }
}

function addInput(batch: NftBatch): void {
  const chain = 'input';
  const fromConfined = inSet(SETS.confined, [field.inputInterface]);
  batch.addChain({ name: chain, type: 'filter', hook: 'input', priority: PRIORITY.filter });
  batch.addRule(chain, [...established(), ...decide('accept')]);
  batch.addRule(chain, [...neighbourDiscovery(), ...decide('accept')]);
  // Of the host, an internal network sees its gateway address; and what the host's sockets would carry on to another
  // family's address of a published port is no service of the host.
  batch.addRule(chain, [
    ...fromConfined,
    ...isNumber(field.destinationTypeHere, ADDRESS_TYPE.local, false),
    ...decide('drop'),
  ]);
  for (const family of FAMILIES) {
    const other = family === 4 ? 6 : 4;
    batch.addRule(chain, [
      ...fromConfined,
      ...isFamily(family),
      ...inMap(familySets(other).published, keys(family).published),
      ...decide('drop'),
    ]);
  }
  addGroupTraffic(batch, chain);
}

/** Behind all other chains of the INPUT hook: what got here was let in. */
function addVisitors(batch: NftBatch): void {
  const chain = 'visitors';
  batch.addChain({ name: chain, type: 'filter', hook: 'input', priority: PRIORITY.last });
  batch.addRule(chain, [...connectionState(CONNECTION_STATE.new, false), ...decide('accept')]);
  batch.addRule(chain, [...isInterface(field.inputInterface, 'lo', true), ...decide('accept')]);
  batch.addRule(chain, [...inSet(SETS.bridges, [field.inputInterface]), ...decide('accept')]);
  for (const family of FAMILIES) {
    const sets = familySets(family);
    const key = keys(family);
    const remembered = [
      ...remember(sets.visitors, key.visitor, { timeoutMs: VISITOR_MS, refresh: true }),
      ...decide('drop'),
    ];
    const translated = [...isFamily(family), ...exceptions(family)];
    batch.addRule(chain, [...translated, ...inMap(sets.publishedOn, key.publishedOn), ...remembered]);
    batch.addRule(chain, [
      ...translated,
      ...isNumber(field.destinationType, ADDRESS_TYPE.local),
      ...inMap(sets.published, key.published),
      ...remembered,
    ]);
  }
}
