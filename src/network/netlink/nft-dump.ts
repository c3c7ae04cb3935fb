/** What nftables answers when asked: the elements of a set, and the number of the ruleset's generation. */
import { errnoCode } from '../../base/errors.ts';
import type { NetlinkConnection } from './connection.ts';
import { NetlinkRequest } from './connection.ts';
import { listAttributes, NLM_F_ACK, NLM_F_DUMP, parseAttributes } from './message.ts';
import type { TableFamily } from './nftables.ts';
import { NFNL_SUBSYS_NFTABLES, nfnetlinkHeader, TABLE_FAMILY } from './nftables.ts';

const NFT_MSG_GETTABLE = 1;
const NFT_MSG_GETRULE = 7;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_GETGEN = 16;
/** struct nfgenmsg. */
export const NFGEN_BYTES = 4;

export interface DumpedElement {
  key: Buffer;
  /** Undefined where it never goes away. */
  timeoutMs?: number;
  expiresInMs?: number;
  counter?: { packets: bigint; bytes: bigint };
}

const messageType = (message: number): number => (NFNL_SUBSYS_NFTABLES << 8) | message;

/** All elements of a set, ranges as their first keys; none where there is no such set. */
export async function dumpElements(
  connection: NetlinkConnection,
  table: string,
  set: string,
): Promise<DumpedElement[]> {
  const request = new NetlinkRequest().add(
    `nftables ${table}: list set ${set}`,
    messageType(NFT_MSG_GETSETELEM),
    NLM_F_DUMP,
    (writer) => {
      writer.bytes(nfnetlinkHeader(TABLE_FAMILY.inet, 0));
      writer.string(1, table);
      writer.string(2, set);
    },
  );
  try {
    const messages = await connection.request(request);
    return messages.flatMap(({ payload }) => {
      const list = parseAttributes(payload.subarray(NFGEN_BYTES)).get(3);
      return list === undefined ? [] : listAttributes(list).map(([, element]) => parseElement(element));
    });
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function parseElement(bytes: Buffer): DumpedElement {
  const attributes = parseAttributes(bytes);
  const timeout = attributes.get(4);
  const expiration = attributes.get(5);
  const counter = attributes.get(7);
  return {
    key: parseAttributes(attributes.get(1) ?? Buffer.alloc(0)).get(1) ?? Buffer.alloc(0),
    ...(timeout === undefined ? {} : { timeoutMs: Number(timeout.readBigUInt64BE(0)) }),
    ...(expiration === undefined ? {} : { expiresInMs: Number(expiration.readBigUInt64BE(0)) }),
    ...(counter === undefined ? {} : { counter: parseCounter(counter) }),
  };
}

function parseCounter(expression: Buffer): { packets: bigint; bytes: bigint } {
  const data = parseAttributes(parseAttributes(expression).get(2) ?? Buffer.alloc(0));
  const read = (attribute: number): bigint => data.get(attribute)?.readBigUInt64BE(0) ?? 0n;
  return { bytes: read(1), packets: read(2) };
}

/** Counts transactions of the network namespace, whoever makes them: one each. */
export async function readGeneration(connection: NetlinkConnection): Promise<number> {
  const request = new NetlinkRequest().add(
    'nftables: read the generation',
    messageType(NFT_MSG_GETGEN),
    NLM_F_ACK,
    (writer) => writer.bytes(nfnetlinkHeader(0, 0)),
  );
  const [answer] = await connection.request(request);
  const id = answer && parseAttributes(answer.payload.subarray(NFGEN_BYTES)).get(1);
  return id === undefined ? 0 : id.readUInt32BE(0);
}

/**
 * How many objects a table has, and how many rules: what changes when somebody flushes it or takes something away.
 * Empty where there is no such table.
 */
export async function tableShape(
  connection: NetlinkConnection,
  table: string,
  family: TableFamily = 'inet',
): Promise<string> {
  const request = (message: number, flags: number): NetlinkRequest =>
    new NetlinkRequest().add(`nftables ${table}: read`, messageType(message), flags, (writer) => {
      writer.bytes(nfnetlinkHeader(TABLE_FAMILY[family], 0));
      writer.string(1, table);
    });
  try {
    const [answer] = await connection.request(request(NFT_MSG_GETTABLE, NLM_F_ACK));
    const uses = answer && parseAttributes(answer.payload.subarray(NFGEN_BYTES)).get(3);
    const rules = await connection.request(request(NFT_MSG_GETRULE, NLM_F_DUMP));
    return `${uses?.readUInt32BE(0)} ${rules.length}`;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
}
