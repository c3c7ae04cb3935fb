/**
 * The expressions that nftables rules are made of, encoded for the kernel's register machine. An expression either
 * loads something into a register, tests a register and ends the rule where the test fails, or acts.
 * Source: linux/netfilter/nf_tables.h.
 */
import type { MessageWriter } from './message.ts';
import type { Verdict } from './nft-sets.ts';

/** Writes one expression (an NFTA_LIST_ELEM's content). */
export type Expression = (writer: MessageWriter) => void;

const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;

/** The verdict register, and the 16 registers of four bytes that follow each other in memory. */
export const REGISTER_VERDICT = 0;
export const register = (number: number): number => 8 + number;

const NF_DROP = 0;
const NF_ACCEPT = 1;
const NFT_JUMP = -3;
const NFT_GOTO = -4;
const NFT_RETURN = -5;

/** Keys of `meta`. */
const META_IIFNAME = 6;
const META_OIFNAME = 7;
const META_NFPROTO = 15;
const META_L4PROTO = 16;
/** Keys of `ct`, and bits of their values. */
const CT_STATE = 0;
const CT_STATUS = 2;
const CT_ESTABLISHED = 2;
const CT_RELATED = 4;
const CT_DESTINATION_NAT = 0x20;

const PAYLOAD_NETWORK = 1;
const PAYLOAD_TRANSPORT = 2;
export const CMP_EQUAL = 0;
export const CMP_NOT_EQUAL = 1;
const FIB_ADDRESS_TYPE = 3;
const FIB_BY_DESTINATION = 2;
const RTN_LOCAL = 2;
const NFPROTO_IPV4 = 2;
const NAT_DESTINATION = 1;

/** IFNAMSIZ: names are compared with all their padding. */
export const INTERFACE_NAME_BYTES = 16;

export function expression(name: string, data: (writer: MessageWriter) => void): Expression {
  return (writer) => {
    writer.string(NFTA_EXPR_NAME, name);
    writer.nest(NFTA_EXPR_DATA, () => data(writer));
  };
}

/** struct nft_data with a value. */
export function writeValue(writer: MessageWriter, type: number, value: Uint8Array): void {
  writer.nest(type, () => writer.attribute(NFTA_DATA_VALUE, value));
}

export function loadMeta(key: number, to: number): Expression {
  return expression('meta', (writer) => {
    writer.u32be(1, to);
    writer.u32be(2, key);
  });
}

export function compare(from: number, operation: number, value: Uint8Array): Expression {
  return expression('cmp', (writer) => {
    writer.u32be(1, from);
    writer.u32be(2, operation);
    writeValue(writer, 3, value);
  });
}

export function loadPayload(base: number, offset: number, length: number, to: number): Expression {
  return expression('payload', (writer) => {
    writer.u32be(1, to);
    writer.u32be(2, base);
    writer.u32be(3, offset);
    writer.u32be(4, length);
  });
}

export function bitwiseAnd(from: number, mask: Uint8Array): Expression {
  return expression('bitwise', (writer) => {
    writer.u32be(1, from);
    writer.u32be(2, from);
    writer.u32be(3, mask.length);
    writeValue(writer, 4, mask);
    writeValue(writer, 5, new Uint8Array(mask.length));
  });
}

export function hostNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A name as the kernel compares it. Throws RangeError on one that is too long. */
export function interfaceNameBytes(name: string): Buffer {
  const bytes = Buffer.alloc(INTERFACE_NAME_BYTES);
  if (bytes.write(name) !== Buffer.byteLength(name) || name.length >= INTERFACE_NAME_BYTES) {
    throw new RangeError(`interface name is too long: ${name}`);
  }
  return bytes;
}

/** Tests: each returns the expressions that end the rule where it does not hold. */
export const match = {
  ipv4(): Expression[] {
    return [
      loadMeta(META_NFPROTO, register(0)),
      compare(register(0), CMP_EQUAL, Uint8Array.of(NFPROTO_IPV4)),
    ];
  },
  inputInterface(name: string, equal = true): Expression[] {
    return [loadMeta(META_IIFNAME, register(0)), compareName(name, equal)];
  },
  outputInterface(name: string, equal = true): Expression[] {
    return [loadMeta(META_OIFNAME, register(0)), compareName(name, equal)];
  },
  inputInterfaceIn(set: string): Expression[] {
    return [loadMeta(META_IIFNAME, register(0)), lookup(set)];
  },
  outputInterfaceIn(set: string): Expression[] {
    return [loadMeta(META_OIFNAME, register(0)), lookup(set)];
  },
  /** IPv4 source in a prefix; `ipv4()` must stand before it. */
  source(address: Uint8Array, mask: Uint8Array): Expression[] {
    return addressIn(12, address, mask);
  },
  /** IPv4 destination in a prefix; `ipv4()` must stand before it. */
  destination(address: Uint8Array, mask: Uint8Array): Expression[] {
    return addressIn(16, address, mask);
  },
  /** The destination is an address of this host. */
  localDestination(): Expression[] {
    const load = expression('fib', (writer) => {
      writer.u32be(1, register(0));
      writer.u32be(2, FIB_ADDRESS_TYPE);
      writer.u32be(3, FIB_BY_DESTINATION);
    });
    return [load, compare(register(0), CMP_EQUAL, hostNumber(RTN_LOCAL))];
  },
  established(): Expression[] {
    return conntrackBits(CT_STATE, CT_ESTABLISHED | CT_RELATED);
  },
  destinationTranslated(): Expression[] {
    return conntrackBits(CT_STATUS, CT_DESTINATION_NAT);
  },
};

function compareName(name: string, equal: boolean): Expression {
  return compare(register(0), equal ? CMP_EQUAL : CMP_NOT_EQUAL, interfaceNameBytes(name));
}

function addressIn(offset: number, address: Uint8Array, mask: Uint8Array): Expression[] {
  return [
    loadPayload(PAYLOAD_NETWORK, offset, 4, register(0)),
    bitwiseAnd(register(0), mask),
    compare(register(0), CMP_EQUAL, address),
  ];
}

function conntrackBits(key: number, bits: number): Expression[] {
  const load = expression('ct', (writer) => {
    writer.u32be(1, register(0));
    writer.u32be(2, key);
  });
  return [
    load,
    bitwiseAnd(register(0), hostNumber(bits)),
    compare(register(0), CMP_NOT_EQUAL, hostNumber(0)),
  ];
}

/** Looks register 0 and what follows up in a set; with `to`, in a map, whose value goes there. */
function lookup(set: string, to?: number): Expression {
  return expression('lookup', (writer) => {
    writer.string(1, set);
    writer.u32be(2, register(0));
    if (to !== undefined) writer.u32be(3, to);
  });
}

/** Actions. */
export const action = {
  accept(): Expression[] {
    return [verdict(NF_ACCEPT)];
  },
  drop(): Expression[] {
    return [verdict(NF_DROP)];
  },
  /** Source translation to the address of the outgoing link. */
  masquerade(): Expression[] {
    return [expression('masq', () => undefined)];
  },
  /**
   * Destination translation to what a map `[address .] protocol . port : address . port` holds for the packet; the
   * rule ends where it holds nothing. `ipv4()` must stand before it.
   */
  translateBy(map: string, withAddress: boolean): Expression[] {
    const first = withAddress ? 1 : 0;
    return [
      ...(withAddress ? [loadPayload(PAYLOAD_NETWORK, 16, 4, register(0))] : []),
      loadMeta(META_L4PROTO, register(first)),
      loadPayload(PAYLOAD_TRANSPORT, 2, 2, register(first + 1)),
      lookup(map, register(0)),
      expression('nat', (writer) => {
        writer.u32be(1, NAT_DESTINATION);
        writer.u32be(2, NFPROTO_IPV4);
        writer.u32be(3, register(0));
        writer.u32be(5, register(1));
      }),
    ];
  },
};

function verdict(code: number): Expression {
  return expression('immediate', (writer) => {
    writer.u32be(1, REGISTER_VERDICT);
    writer.nest(2, () => writer.nest(NFTA_DATA_VERDICT, () => writer.u32be(NFTA_VERDICT_CODE, code)));
  });
}

/** struct nft_data with a verdict. */
export function writeVerdict(writer: MessageWriter, verdict: Verdict): void {
  writer.nest(NFTA_DATA_VERDICT, () => {
    writer.u32be(NFTA_VERDICT_CODE, verdictCode(verdict));
    if (typeof verdict === 'object')
      writer.string(NFTA_VERDICT_CHAIN, 'goto' in verdict ? verdict.goto : verdict.jump);
  });
}

function verdictCode(verdict: Verdict): number {
  if (verdict === 'accept') return NF_ACCEPT;
  if (verdict === 'drop') return NF_DROP;
  if (verdict === 'return') return NFT_RETURN;
  return 'goto' in verdict ? NFT_GOTO : NFT_JUMP;
}

/** The expression that counts, with what it starts from. */
export function writeCounter(writer: MessageWriter, start?: { packets: bigint; bytes: bigint }): void {
  writer.string(NFTA_EXPR_NAME, 'counter');
  writer.nest(NFTA_EXPR_DATA, () => {
    for (const [attribute, value] of [
      [1, start?.bytes],
      [2, start?.packets],
    ] as const) {
      if (value === undefined) continue;
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(value);
      writer.attribute(attribute, bytes);
    }
  });
}
