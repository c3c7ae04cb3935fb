/**
 * nftables over nfnetlink: one batch of messages is one transaction, applied whole or not at all. What a rule says is
 * built in nft-expressions.ts. All objects are in the inet family. Source: linux/netfilter/nf_tables.h, nfnetlink.h.
 */
import { NetlinkRequest } from './connection.ts';
import type { MessageWriter } from './message.ts';
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE } from './message.ts';
import type { Expression } from './nft-expressions.ts';
import { writeValue } from './nft-expressions.ts';

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFPROTO_UNSPEC = 0;
const NFPROTO_INET = 1;

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_NEWSET = 9;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;

const NFT_SET_MAP = 8;
const NFTA_LIST_ELEM = 1;

/** Hooks of the inet family. */
export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** nft's own numbers of data types: only its listings need them. A concatenation is six bits each. */
export const DATA_TYPE = { ipv4Address: 7, protocol: 12, port: 13, interfaceName: 41 } as const;

const DATA_TYPE_BITS = 6;

/** What nft stores with a set to read it back: type 0 (key byte order), four bytes, 1 (host order). */
const HOST_ORDER_USER_DATA = Uint8Array.of(0, 4, 1, 0, 0, 0);

export function concatenatedType(types: readonly number[]): number {
  return types.reduce((value, type) => (value << DATA_TYPE_BITS) | type, 0);
}

export interface Chain {
  name: string;
  type: 'filter' | 'nat';
  hook: keyof typeof HOOK;
  priority: number;
}

export interface NftSet {
  name: string;
  keyType: number;
  keyBytes: number;
  /** The key is in the host's byte order (nft's listings ask); the default is network order. */
  hostByteOrder?: boolean;
  /** Makes it a map. */
  data?: { type: number; bytes: number };
}

export interface Element {
  key: Uint8Array;
  data?: Uint8Array;
}

interface BatchMessage {
  label: string;
  type: number;
  flags: number;
  body: (writer: MessageWriter) => void;
}

/** A transaction on one table: what is added here happens in this order, all of it or nothing. */
export class NftBatch {
  readonly #table: string;
  readonly #messages: BatchMessage[] = [];
  #setId = 1;

  constructor(table: string) {
    this.#table = table;
  }

  /** Idempotent: a table that is there stays as it is. */
  addTable(): this {
    return this.#add('add table', NFT_MSG_NEWTABLE, NLM_F_CREATE, (writer) => {
      writer.string(1, this.#table);
      writer.u32be(2, 0);
    });
  }

  /** With everything in it. ENOENT where there is none. */
  deleteTable(): this {
    return this.#add('delete table', NFT_MSG_DELTABLE, 0, (writer) => writer.string(1, this.#table));
  }

  /** A base chain whose policy is to accept. */
  addChain(chain: Chain): this {
    return this.#add(`add chain ${chain.name}`, NFT_MSG_NEWCHAIN, NLM_F_CREATE, (writer) => {
      writer.string(1, this.#table);
      writer.string(3, chain.name);
      writer.nest(4, () => {
        writer.u32be(1, HOOK[chain.hook]);
        writer.u32be(2, chain.priority);
      });
      writer.string(7, chain.type);
    });
  }

  addSet(set: NftSet): this {
    return this.#add(`add set ${set.name}`, NFT_MSG_NEWSET, NLM_F_CREATE, (writer) => {
      writer.string(1, this.#table);
      writer.string(2, set.name);
      writer.u32be(3, set.data === undefined ? 0 : NFT_SET_MAP);
      writer.u32be(4, set.keyType);
      writer.u32be(5, set.keyBytes);
      if (set.data !== undefined) {
        writer.u32be(6, set.data.type);
        writer.u32be(7, set.data.bytes);
      }
      writer.u32be(10, this.#setId++);
      if (set.hostByteOrder === true) writer.attribute(13, HOST_ORDER_USER_DATA);
    });
  }

  addRule(chain: string, expressions: readonly Expression[]): this {
    return this.#add(`add rule to ${chain}`, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, (writer) => {
      writer.string(1, this.#table);
      writer.string(2, chain);
      writer.nest(4, () => {
        for (const expression of expressions) writer.nest(NFTA_LIST_ELEM, () => expression(writer));
      });
    });
  }

  /** An element that is there already with the same value stays; with another value it is EBUSY. */
  addElements(set: string, elements: readonly Element[]): this {
    return this.#elements(`add element to ${set}`, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
  }

  /** ENOENT where one is missing. */
  deleteElements(set: string, elements: readonly Element[]): this {
    return this.#elements(`delete element of ${set}`, NFT_MSG_DELSETELEM, 0, set, elements);
  }

  /**
   * The whole transaction as one request. Only its last message asks for an acknowledgement; a refusal of any other
   * is answered all the same.
   */
  finish(): NetlinkRequest {
    const request = new NetlinkRequest();
    const frame = (writer: MessageWriter) => writer.bytes(header(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES));
    request.add('begin nftables batch', NFNL_MSG_BATCH_BEGIN, 0, frame);
    this.#messages.forEach(({ label, type, flags, body }, index) => {
      const acknowledge = index === this.#messages.length - 1 ? NLM_F_ACK : 0;
      request.add(label, type, flags | acknowledge, (writer) => {
        writer.bytes(header(NFPROTO_INET, 0));
        body(writer);
      });
    });
    return request.add('end nftables batch', NFNL_MSG_BATCH_END, 0, frame);
  }

  #elements(label: string, message: number, flags: number, set: string, elements: readonly Element[]): this {
    if (elements.length === 0) return this;
    return this.#add(label, message, flags, (writer) => {
      writer.string(1, this.#table);
      writer.string(2, set);
      writer.nest(3, () => {
        for (const element of elements) {
          writer.nest(NFTA_LIST_ELEM, () => {
            writeValue(writer, 1, element.key);
            if (element.data !== undefined) writeValue(writer, 2, element.data);
          });
        }
      });
    });
  }

  #add(label: string, message: number, flags: number, body: (writer: MessageWriter) => void): this {
    const type = (NFNL_SUBSYS_NFTABLES << 8) | message;
    this.#messages.push({ label: `nftables ${this.#table}: ${label}`, type, flags, body });
    return this;
  }
}

/** struct nfgenmsg; the resource number is in network order. */
function header(family: number, resource: number): Buffer {
  return Buffer.from([family, 0, resource >> 8, resource & 255]);
}
