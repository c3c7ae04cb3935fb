/**
 * The table of the bridge family: it keeps containers that are kept in to their own addresses. Every frame that they
 * send passes it, those of AF_PACKET sockets too, before any bridge or IP code looks at it. Only IPv4, IPv6 and ARP
 * pass, with the container's MAC address and one of its addresses. Made when the first such container comes.
 */
import { addressBytes, parseMac } from '../ip-address.ts';
import { interfaceNameBytes } from '../netlink/nft-expressions.ts';
import { decide, field, inSet, is, isNumber, joinKey, keyOf } from '../netlink/nft-fields.ts';
import { NftBatch } from '../netlink/nftables.ts';
import type { Placed } from './elements.ts';
import { bySet, ruleAddresses } from './elements.ts';
import type { EgressRule } from './model.ts';

const PRIORITY = -300;
const IPPROTO_ICMPV6 = 58;
const ETHERTYPE = {
  ipv4: Uint8Array.of(0x08, 0x00),
  arp: Uint8Array.of(0x08, 0x06),
  ipv6: Uint8Array.of(0x86, 0xdd),
} as const;

const GUARDED = 'guarded';
const MAC = 'guarded_mac';
const IPV4 = 'guarded4';
const IPV6 = 'guarded6';
const CHAIN = 'prerouting';

const port = field.inputInterface;

/** The whole table anew. */
export function guardTable(table: string, rules: Iterable<EgressRule>): NftBatch {
  const batch = new NftBatch(table, 'bridge').addTable().deleteTable().addTable();
  batch.addSet({ name: GUARDED, ...keyOf([port]), hostByteOrder: true });
  batch.addSet({ name: MAC, ...keyOf([port, field.etherSource]) });
  batch.addSet({ name: IPV4, ...keyOf([port, field.ipv4Source]) });
  batch.addSet({ name: IPV6, ...keyOf([port, field.ipv6Source]) });
  for (const rule of rules) addGuard(batch, rule);
  batch.addChain({ name: CHAIN, type: 'filter', hook: 'prerouting', priority: PRIORITY });
  batch.addRule(CHAIN, [...inSet(GUARDED, [port], false), ...decide('accept')]);
  batch.addRule(CHAIN, [...inSet(MAC, [port, field.etherSource], false), ...decide('drop')]);
  batch.addRule(CHAIN, [
    ...is(field.etherType, ETHERTYPE.ipv4),
    ...inSet(IPV4, [port, field.ipv4Source]),
    ...decide('accept'),
  ]);
  batch.addRule(CHAIN, [
    ...is(field.etherType, ETHERTYPE.ipv6),
    ...inSet(IPV6, [port, field.ipv6Source]),
    ...decide('accept'),
  ]);
  // Duplicate address detection and multicast reports have no source yet; no router carries those on.
  batch.addRule(CHAIN, [
    ...is(field.etherType, ETHERTYPE.ipv6),
    ...is(field.ipv6Source, new Uint8Array(16)),
    ...isNumber(field.protocol, IPPROTO_ICMPV6),
    ...decide('accept'),
  ]);
  batch.addRule(CHAIN, [
    ...is(field.etherType, ETHERTYPE.arp),
    ...inSet(MAC, [port, field.arpSenderEther]),
    ...inSet(IPV4, [port, field.arpSenderIpv4]),
    ...decide('accept'),
  ]);
  return batch.addRule(CHAIN, decide('drop'));
}

export function addGuard(batch: NftBatch, rule: EgressRule): void {
  for (const [set, elements] of bySet(guardElements(rule))) batch.addElements(set, elements);
}

export function removeGuard(batch: NftBatch, rule: EgressRule): void {
  for (const [set, elements] of bySet(guardElements(rule))) batch.deleteElements(set, elements);
}

function guardElements(rule: EgressRule): Placed[] {
  const name = interfaceNameBytes(rule.hostInterface);
  return [
    { set: GUARDED, element: { key: name } },
    { set: MAC, element: { key: joinKey(name, parseMac(rule.macAddress)) } },
    ...ruleAddresses(rule).map((address) => ({
      set: address.family === 4 ? IPV4 : IPV6,
      element: { key: joinKey(name, addressBytes(address)) },
    })),
  ];
}
