/**
 * What rules read from a packet, as fields of known size that can be compared, or put behind one another and looked
 * up in a set: the concatenations of nft (`ip saddr . ip daddr @set`). A field takes whole registers of four bytes;
 * the kernel clears what it leaves over. Addresses and ports are only there where a rule has tested family and
 * protocol before, or where the kernel ends the rule by itself (a payload that is too short).
 */
import type { Expression } from './nft-expressions.ts';
import {
  bitwiseAnd,
  CMP_EQUAL,
  CMP_NOT_EQUAL,
  compare,
  expression,
  hostNumber,
  loadMeta,
  loadPayload,
  REGISTER_VERDICT,
  register,
  writeCounter,
  writeVerdict,
} from './nft-expressions.ts';
import type { Verdict } from './nft-sets.ts';
import { concatenatedType, DATA_TYPE, networkU64 } from './nft-sets.ts';

const META_PROTOCOL = 1;
const META_IIFNAME = 6;
const META_OIFNAME = 7;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
const META_PKTTYPE = 19;
const PAYLOAD_LINK = 0;
const PAYLOAD_NETWORK = 1;
const PAYLOAD_TRANSPORT = 2;
const FIB_ADDRESS_TYPE = 3;
const FIB_BY_DESTINATION = 2;
const FIB_OF_INPUT_INTERFACE = 8;
const CT_STATE = 0;
const CT_STATUS = 2;
const CT_DESTINATION_NAT = 0x20;
const NAT_DESTINATION = 1;
const LOOKUP_INVERTED = 1;
const DYNSET_ADD = 0;
const DYNSET_UPDATE = 1;
const REJECT_TCP_RESET = 1;
const REJECT_ICMPX = 2;
const ICMPX_ADMIN_PROHIBITED = 3;

export interface Field {
  /** Unpadded. */
  bytes: number;
  /** nft's data type. */
  type: number;
  load: (to: number) => Expression;
}

/** Kinds of destinations, as routing sees them (RTN_*). */
export const ADDRESS_TYPE = { unicast: 1, local: 2, broadcast: 3, multicast: 5 } as const;
/** For whom the link layer says that a packet is (PACKET_*). */
export const PACKET_TYPE = { host: 0 } as const;
/** Values of `field.family`. */
export const NFPROTO = { 4: 2, 6: 10 } as const;
/** Bits of `ct state` (a state's number is its bit, 1 << IP_CT_*, invalid first). */
export const CONNECTION_STATE = { invalid: 1, established: 2, related: 4, new: 8 } as const;

function meta(key: number, bytes: number, type: number): Field {
  return { bytes, type, load: (to) => loadMeta(key, to) };
}

function payload(base: number, offset: number, bytes: number, type: number): Field {
  return { bytes, type, load: (to) => loadPayload(base, offset, bytes, to) };
}

function destinationType(flags: number): Field {
  return {
    bytes: 4,
    type: 0,
    load: (to) =>
      expression('fib', (writer) => {
        writer.u32be(1, to);
        writer.u32be(2, FIB_ADDRESS_TYPE);
        writer.u32be(3, flags);
      }),
  };
}

function conntrack(key: number, bytes: number): Field {
  return {
    bytes,
    type: 0,
    load: (to) =>
      expression('ct', (writer) => {
        writer.u32be(1, to);
        writer.u32be(2, key);
      }),
  };
}

/** A value that is the same for all packets. */
export function constant(value: Uint8Array, type: number): Field {
  return {
    bytes: value.length,
    type,
    load: (to) =>
      expression('immediate', (writer) => {
        writer.u32be(1, to);
        writer.nest(2, () => writer.attribute(1, value));
      }),
  };
}

export const field = {
  inputInterface: meta(META_IIFNAME, 16, DATA_TYPE.interfaceName),
  outputInterface: meta(META_OIFNAME, 16, DATA_TYPE.interfaceName),
  /** NFPROTO_IPV4 or IPV6, one byte. */
  family: meta(META_NFPROTO, 1, DATA_TYPE.protocolFamily),
  protocol: meta(META_L4PROTO, 1, DATA_TYPE.protocol),
  /** Ethertype, network order: for tables of the bridge family. */
  etherType: meta(META_PROTOCOL, 2, 10),
  packetType: meta(META_PKTTYPE, 1, 0),
  ipv4Source: payload(PAYLOAD_NETWORK, 12, 4, DATA_TYPE.ipv4Address),
  ipv4Destination: payload(PAYLOAD_NETWORK, 16, 4, DATA_TYPE.ipv4Address),
  ipv6Source: payload(PAYLOAD_NETWORK, 8, 16, DATA_TYPE.ipv6Address),
  ipv6Destination: payload(PAYLOAD_NETWORK, 24, 16, DATA_TYPE.ipv6Address),
  destinationPort: payload(PAYLOAD_TRANSPORT, 2, 2, DATA_TYPE.port),
  icmpType: payload(PAYLOAD_TRANSPORT, 0, 1, 0),
  etherSource: payload(PAYLOAD_LINK, 6, 6, DATA_TYPE.etherAddress),
  /** What an ARP packet says of its sender (Ethernet and IPv4). */
  arpSenderEther: payload(PAYLOAD_NETWORK, 8, 6, DATA_TYPE.etherAddress),
  arpSenderIpv4: payload(PAYLOAD_NETWORK, 14, 4, DATA_TYPE.ipv4Address),
  /** ADDRESS_TYPE of the destination, host order. */
  destinationType: destinationType(FIB_BY_DESTINATION),
  /** The same, where only addresses of the interface that the packet came in by count as local. */
  destinationTypeHere: destinationType(FIB_BY_DESTINATION | FIB_OF_INPUT_INTERFACE),
} as const satisfies Record<string, Field>;

/** Source and destination addresses of a family. */
export function addressFields(family: 4 | 6): { source: Field; destination: Field } {
  return family === 4
    ? { source: field.ipv4Source, destination: field.ipv4Destination }
    : { source: field.ipv6Source, destination: field.ipv6Destination };
}

const registersOf = ({ bytes }: Field): number => Math.ceil(bytes / 4);

/** Loads fields behind one another, from register 0. */
function load(fields: readonly Field[]): Expression[] {
  let next = 0;
  return fields.map((part) => {
    const at = next;
    next += registersOf(part);
    return part.load(register(at));
  });
}

/** What a set's declaration says of keys that are made of these fields. */
export function keyOf(fields: readonly Field[]): { keyType: number; keyBytes: number } {
  return {
    keyType: concatenatedType(fields.map(({ type }) => type)),
    keyBytes:
      fields.length === 1
        ? (fields[0]?.bytes ?? 0)
        : fields.reduce((sum, part) => sum + registersOf(part) * 4, 0),
  };
}

/** A key of several values: each is padded to four bytes. */
export function joinKey(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => [part, Buffer.alloc((4 - (part.length % 4)) % 4)]));
}

/** The rule ends unless the field has this value. */
export function is(part: Field, value: Uint8Array, equal = true): Expression[] {
  return [part.load(register(0)), compare(register(0), equal ? CMP_EQUAL : CMP_NOT_EQUAL, value)];
}

/** The same for a number in the host's byte order, of one or four bytes. */
export function isNumber(part: Field, value: number, equal = true): Expression[] {
  return is(part, part.bytes === 1 ? Uint8Array.of(value) : hostNumber(value), equal);
}

export const isFamily = (family: 4 | 6): Expression[] => isNumber(field.family, NFPROTO[family]);

/** The rule ends unless the fields are in the set, or with `member` false, unless they are not. */
export function inSet(set: string, fields: readonly Field[], member = true): Expression[] {
  return [
    ...load(fields),
    expression('lookup', (writer) => {
      writer.string(1, set);
      writer.u32be(2, register(0));
      if (!member) writer.u32be(5, LOOKUP_INVERTED);
    }),
  ];
}

/** The rule ends unless a map of values has the fields. */
export function inMap(map: string, fields: readonly Field[]): Expression[] {
  return [
    ...load(fields),
    expression('lookup', (writer) => {
      writer.string(1, map);
      writer.u32be(2, register(0));
      // The kernel wants a place for the value of a map.
      writer.u32be(3, register(0));
    }),
  ];
}

/** Does what a map holds for the fields; goes on where it holds nothing. */
export function byVerdictMap(map: string, fields: readonly Field[]): Expression[] {
  return [
    ...load(fields),
    expression('lookup', (writer) => {
      writer.string(1, map);
      writer.u32be(2, register(0));
      writer.u32be(3, REGISTER_VERDICT);
    }),
  ];
}

/**
 * Puts the fields into a dynamic set for some time. `refresh` starts the time of one that is there anew. The rule
 * ends where the set is full.
 */
export function remember(
  set: string,
  fields: readonly Field[],
  options: { timeoutMs: number; refresh: boolean; counter?: boolean },
): Expression[] {
  return [
    ...load(fields),
    expression('dynset', (writer) => {
      writer.string(1, set);
      writer.u32be(3, options.refresh ? DYNSET_UPDATE : DYNSET_ADD);
      writer.u32be(4, register(0));
      writer.attribute(6, networkU64(BigInt(options.timeoutMs)));
      if (options.counter === true) writer.nest(7, () => writeCounter(writer));
    }),
  ];
}

/**
 * Destination translation to what a map `… : address . port` holds for the fields; the rule ends where it holds
 * nothing.
 */
export function translateBy(map: string, family: 4 | 6, fields: readonly Field[]): Expression[] {
  return [
    ...load(fields),
    expression('lookup', (writer) => {
      writer.string(1, map);
      writer.u32be(2, register(0));
      writer.u32be(3, register(0));
    }),
    expression('nat', (writer) => {
      writer.u32be(1, NAT_DESTINATION);
      writer.u32be(2, NFPROTO[family]);
      writer.u32be(3, register(0));
      writer.u32be(5, register(family === 4 ? 1 : 4));
    }),
  ];
}

export function decide(verdict: Verdict): Expression[] {
  return [
    expression('immediate', (writer) => {
      writer.u32be(1, REGISTER_VERDICT);
      writer.nest(2, () => writeVerdict(writer, verdict));
    }),
  ];
}

/** Drops the packet and tells its sender that it is forbidden: by ICMP, or with `reset`, as TCP refuses. */
export function reject(how: 'icmp' | 'reset'): Expression[] {
  return [
    expression('reject', (writer) => {
      writer.u32be(1, how === 'reset' ? REJECT_TCP_RESET : REJECT_ICMPX);
      if (how === 'icmp') writer.u8(2, ICMPX_ADMIN_PROHIBITED);
    }),
  ];
}

/** The rule ends unless the connection's state is one of `bits`, or with `any` false, none of them. */
export function connectionState(bits: number, any = true): Expression[] {
  return [conntrack(CT_STATE, 4).load(register(0)), ...anyBit(hostNumber(bits), any)];
}

/** The rule ends unless the connection's destination was translated. */
export function destinationTranslated(): Expression[] {
  return [conntrack(CT_STATUS, 4).load(register(0)), ...anyBit(hostNumber(CT_DESTINATION_NAT))];
}

/** The rule ends unless the first bits of the field are those of `value`. */
export function hasPrefix(part: Field, value: Uint8Array, mask: Uint8Array, equal = true): Expression[] {
  return [
    part.load(register(0)),
    bitwiseAnd(register(0), mask),
    compare(register(0), equal ? CMP_EQUAL : CMP_NOT_EQUAL, value),
  ];
}

export function masquerade(): Expression[] {
  return [expression('masq', () => undefined)];
}

/** The rule ends unless register 0 has one of these bits, or with `any` false, none. */
function anyBit(bits: Uint8Array, any = true): Expression[] {
  const operation = any ? CMP_NOT_EQUAL : CMP_EQUAL;
  return [bitwiseAnd(register(0), bits), compare(register(0), operation, new Uint8Array(bits.length))];
}
