/** The chains and rules of all tables of this network namespace, as the kernel lists them. Read only. */
import type { NetlinkConnection } from './connection.ts';
import { NetlinkRequest } from './connection.ts';
import { attributeString, listAttributes, NLM_F_DUMP, parseAttributes } from './message.ts';
import { NFGEN_BYTES } from './nft-dump.ts';
import { NFNL_SUBSYS_NFTABLES, nfnetlinkHeader } from './nftables.ts';

const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_GETRULE = 7;

export interface ForeignRule {
  /** nft's number of it, as `nft -a list` shows it. */
  handle: bigint;
  expressions: { name: string; attributes: Map<number, Buffer> }[];
}

export interface ForeignChain {
  /** NFPROTO_*. */
  family: number;
  table: string;
  name: string;
  /** Of base chains. */
  hook?: { number: number; priority: number; type: string; policy: 'accept' | 'drop' };
  rules: ForeignRule[];
}

async function dump(connection: NetlinkConnection, message: number, label: string): Promise<Buffer[]> {
  const request = new NetlinkRequest().add(
    `nftables: list ${label}`,
    (NFNL_SUBSYS_NFTABLES << 8) | message,
    NLM_F_DUMP,
    (writer) => writer.bytes(nfnetlinkHeader(0, 0)),
  );
  return (await connection.request(request)).map(({ payload }) => payload);
}

export async function readChains(connection: NetlinkConnection): Promise<ForeignChain[]> {
  const chains = new Map<string, ForeignChain>();
  const keyOf = (family: number, table: string, name: string): string => `${family} ${table} ${name}`;
  for (const payload of await dump(connection, NFT_MSG_GETCHAIN, 'chains')) {
    const chain = parseChain(payload);
    chains.set(keyOf(chain.family, chain.table, chain.name), chain);
  }
  for (const payload of await dump(connection, NFT_MSG_GETRULE, 'rules')) {
    const attributes = parseAttributes(payload.subarray(NFGEN_BYTES));
    const table = attributeString(attributes.get(1));
    const chain = chains.get(keyOf(payload[0] ?? 0, table, attributeString(attributes.get(2))));
    chain?.rules.push({
      handle: attributes.get(3)?.readBigUInt64BE(0) ?? 0n,
      expressions: listAttributes(attributes.get(4) ?? Buffer.alloc(0)).map(([, expression]) => {
        const parts = parseAttributes(expression);
        return {
          name: attributeString(parts.get(1)),
          attributes: parseAttributes(parts.get(2) ?? Buffer.alloc(0)),
        };
      }),
    });
  }
  return [...chains.values()];
}

function parseChain(payload: Buffer): ForeignChain {
  const attributes = parseAttributes(payload.subarray(NFGEN_BYTES));
  const hook = attributes.get(4);
  const chain: ForeignChain = {
    family: payload[0] ?? 0,
    table: attributeString(attributes.get(1)),
    name: attributeString(attributes.get(3)),
    rules: [],
  };
  if (hook === undefined) return chain;
  const place = parseAttributes(hook);
  return {
    ...chain,
    hook: {
      number: place.get(1)?.readUInt32BE(0) ?? -1,
      priority: place.get(2)?.readInt32BE(0) ?? 0,
      type: attributeString(attributes.get(7)),
      policy: attributes.get(5)?.readUInt32BE(0) === 0 ? 'drop' : 'accept',
    },
  };
}
