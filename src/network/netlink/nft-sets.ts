/**
 * Sets and maps of nftables and their elements, encoded: concatenated keys, ranges, timeouts, counters, verdicts.
 * Source: linux/netfilter/nf_tables.h.
 */
import type { MessageWriter } from './message.ts';
import { writeCounter, writeValue, writeVerdict } from './nft-expressions.ts';

const NFT_SET_INTERVAL = 4;
const NFT_SET_MAP = 8;
const NFT_SET_TIMEOUT = 0x10;
const NFT_SET_EVAL = 0x20;
const NFT_SET_CONCAT = 0x80;
const NFT_DATA_VERDICT = 0xffffff00;
const NFT_SET_ELEM_INTERVAL_END = 1;
export const NFTA_LIST_ELEM = 1;

/** nft's own numbers of data types: only its listings need them. A concatenation is six bits each. */
export const DATA_TYPE = {
  protocolFamily: 2,
  ipv4Address: 7,
  ipv6Address: 8,
  etherAddress: 9,
  protocol: 12,
  port: 13,
  interfaceName: 41,
} as const;

const DATA_TYPE_BITS = 6;

/** What nft stores with a set to read it back: type 0 (key byte order), four bytes, 1 (host order). */
const HOST_ORDER_USER_DATA = Uint8Array.of(0, 4, 1, 0, 0, 0);

export function concatenatedType(types: readonly number[]): number {
  return types.reduce((value, type) => (value << DATA_TYPE_BITS) | type, 0);
}

export interface NftSet {
  name: string;
  keyType: number;
  keyBytes: number;
  /** The key is in the host's byte order (nft's listings ask); the default is network order. */
  hostByteOrder?: boolean;
  /** Makes it a map to values. */
  data?: { type: number; bytes: number };
  /** Makes it a map to verdicts. */
  verdicts?: boolean;
  /** Elements are ranges. */
  interval?: boolean;
  /** Bytes of each part of a concatenated key, unpadded; needed where its parts are ranges. */
  fields?: readonly number[];
  /** Elements may go away by themselves. */
  timeouts?: boolean;
  /** Rules add elements. */
  dynamic?: boolean;
  /** The most elements that rules may add. */
  size?: number;
  /** Every element counts the packets that it matched. */
  counters?: boolean;
}

export type Verdict = 'accept' | 'drop' | 'return' | { goto: string } | { jump: string };

export interface Element {
  key: Uint8Array;
  /** The last key of a range, in sets with `fields`. */
  keyEnd?: Uint8Array;
  /** The key is the first one behind a range, in interval sets of one field. */
  intervalEnd?: boolean;
  data?: Uint8Array;
  verdict?: Verdict;
  timeoutMs?: number;
  /** What is left of timeoutMs; default all. */
  expiresInMs?: number;
  counter?: { packets: bigint; bytes: bigint };
}

/** The content of NFT_MSG_NEWSET behind the table's name. */
export function writeSet(writer: MessageWriter, set: NftSet, id: number): void {
  writer.string(2, set.name);
  writer.u32be(3, setFlags(set));
  writer.u32be(4, set.keyType);
  writer.u32be(5, set.keyBytes);
  if (set.verdicts === true) writer.u32be(6, NFT_DATA_VERDICT);
  if (set.data !== undefined) {
    writer.u32be(6, set.data.type);
    writer.u32be(7, set.data.bytes);
  }
  const { fields, size } = set;
  if (fields !== undefined || size !== undefined) {
    writer.nest(9, () => {
      if (size !== undefined) writer.u32be(1, size);
      if (fields !== undefined) writeFields(writer, fields);
    });
  }
  writer.u32be(10, id);
  if (set.hostByteOrder === true) writer.attribute(13, HOST_ORDER_USER_DATA);
  if (set.counters === true) writer.nest(17, () => writeCounter(writer));
}

function setFlags(set: NftSet): number {
  return (
    (set.interval === true ? NFT_SET_INTERVAL : 0) |
    (set.data !== undefined || set.verdicts === true ? NFT_SET_MAP : 0) |
    (set.timeouts === true ? NFT_SET_TIMEOUT : 0) |
    (set.dynamic === true ? NFT_SET_EVAL : 0) |
    (set.fields !== undefined ? NFT_SET_CONCAT : 0)
  );
}

function writeFields(writer: MessageWriter, fields: readonly number[]): void {
  writer.nest(2, () => {
    for (const bytes of fields) writer.nest(NFTA_LIST_ELEM, () => writer.u32be(1, bytes));
  });
}

/** One NFTA_LIST_ELEM of NFT_MSG_NEWSETELEM or DELSETELEM. */
export function writeElement(writer: MessageWriter, element: Element): void {
  const { verdict, timeoutMs, expiresInMs, counter } = element;
  writer.nest(NFTA_LIST_ELEM, () => {
    writeValue(writer, 1, element.key);
    if (element.data !== undefined) writeValue(writer, 2, element.data);
    if (verdict !== undefined) writer.nest(2, () => writeVerdict(writer, verdict));
    if (element.intervalEnd === true) writer.u32be(3, NFT_SET_ELEM_INTERVAL_END);
    if (timeoutMs !== undefined) writer.attribute(4, networkU64(BigInt(Math.ceil(timeoutMs))));
    if (expiresInMs !== undefined) writer.attribute(5, networkU64(BigInt(Math.ceil(expiresInMs))));
    if (counter !== undefined) writer.nest(7, () => writeCounter(writer, counter));
    if (element.keyEnd !== undefined) writeValue(writer, 10, element.keyEnd);
  });
}

/** Eight bytes in network order. */
export function networkU64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
