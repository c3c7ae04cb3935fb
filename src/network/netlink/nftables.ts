/**
 * nftables over nfnetlink: one batch of messages is one transaction, applied whole or not at all. What a rule says is
 * built in nft-expressions.ts and nft-fields.ts. Source: linux/netfilter/nf_tables.h, nfnetlink.h.
 */
import { NetlinkRequest } from './connection.ts';
import type { MessageWriter } from './message.ts';
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE } from './message.ts';
import type { Expression } from './nft-expressions.ts';
import type { Element, NftSet } from './nft-sets.ts';
import { NFTA_LIST_ELEM, writeElement, writeSet } from './nft-sets.ts';

export type { Element, NftSet } from './nft-sets.ts';
export { concatenatedType, DATA_TYPE } from './nft-sets.ts';

export const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFPROTO_UNSPEC = 0;

/** Families of tables (NFPROTO_*). */
export const TABLE_FAMILY = { inet: 1, bridge: 7 } as const;
export type TableFamily = keyof typeof TABLE_FAMILY;

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_NEWSET = 9;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;

/** An attribute holds at most 64 KiB, and a message one attribute with all its elements. */
const ELEMENTS_PER_MESSAGE = 250;

/** Hooks of the inet and bridge families. */
export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

export interface Chain {
  name: string;
  type: 'filter' | 'nat';
  hook: keyof typeof HOOK;
  priority: number;
}

interface BatchMessage {
  label: string;
  family: number;
  type: number;
  flags: number;
  body: (writer: MessageWriter) => void;
}

/** A transaction on one table: what is added here happens in this order, all of it or nothing. */
export class NftBatch {
  readonly #table: string;
  readonly #family: number;
  readonly #messages: BatchMessage[] = [];
  #setId = 1;

  constructor(table: string, family: TableFamily = 'inet') {
    this.#table = table;
    this.#family = TABLE_FAMILY[family];
  }

  /** The kernel answers nothing to an empty transaction: send none. */
  get isEmpty(): boolean {
    return this.#messages.length === 0;
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

  /** A chain that rules and maps jump to. Idempotent. */
  addTargetChain(name: string): this {
    return this.#add(`add chain ${name}`, NFT_MSG_NEWCHAIN, NLM_F_CREATE, (writer) => {
      writer.string(1, this.#table);
      writer.string(3, name);
    });
  }

  addSet(set: NftSet): this {
    return this.#add(`add set ${set.name}`, NFT_MSG_NEWSET, NLM_F_CREATE, (writer) => {
      writer.string(1, this.#table);
      writeSet(writer, set, this.#setId++);
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

  /** Empties a set; the set stays. */
  flushSet(set: string): this {
    return this.#add(`flush set ${set}`, NFT_MSG_DELSETELEM, 0, (writer) => {
      writer.string(1, this.#table);
      writer.string(2, set);
    });
  }

  /** What another transaction, of another table, holds becomes part of this one. */
  join(other: NftBatch): this {
    this.#messages.push(...other.#messages);
    return this;
  }

  /**
   * The whole transaction as one request. Only its last message asks for an acknowledgement; a refusal of any other
   * is answered all the same.
   */
  finish(): NetlinkRequest {
    const request = new NetlinkRequest();
    const frame = (writer: MessageWriter) =>
      writer.bytes(nfnetlinkHeader(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES));
    request.add('begin nftables batch', NFNL_MSG_BATCH_BEGIN, 0, frame);
    this.#messages.forEach(({ label, family, type, flags, body }, index) => {
      const acknowledge = index === this.#messages.length - 1 ? NLM_F_ACK : 0;
      request.add(label, type, flags | acknowledge, (writer) => {
        writer.bytes(nfnetlinkHeader(family, 0));
        body(writer);
      });
    });
    return request.add('end nftables batch', NFNL_MSG_BATCH_END, 0, frame);
  }

  #elements(label: string, message: number, flags: number, set: string, elements: readonly Element[]): this {
    for (let at = 0; at < elements.length; at += ELEMENTS_PER_MESSAGE) {
      this.#add(label, message, flags, (writer) => {
        writer.string(1, this.#table);
        writer.string(2, set);
        writer.nest(3, () => {
          for (const element of elements.slice(at, at + ELEMENTS_PER_MESSAGE)) writeElement(writer, element);
        });
      });
    }
    return this;
  }

  #add(label: string, message: number, flags: number, body: (writer: MessageWriter) => void): this {
    const type = (NFNL_SUBSYS_NFTABLES << 8) | message;
    this.#messages.push({
      label: `nftables ${this.#table}: ${label}`,
      family: this.#family,
      type,
      flags,
      body,
    });
    return this;
  }
}

/** struct nfgenmsg; the resource number is in network order. */
export function nfnetlinkHeader(family: number, resource: number): Buffer {
  return Buffer.from([family, 0, resource >> 8, resource & 255]);
}
