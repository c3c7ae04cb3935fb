/** What the table remembers of restricted containers: read for reports, and carried over when the table is replaced. */
import type { Family, IpAddress } from '../ip-address.ts';
import { addressBytes, addressFromBytes, formatAddress } from '../ip-address.ts';
import type { NetlinkConnection } from '../netlink/connection.ts';
import type { DumpedElement } from '../netlink/nft-dump.ts';
import { dumpElements } from '../netlink/nft-dump.ts';
import type { Element } from '../netlink/nft-sets.ts';
import type { Placed } from './elements.ts';
import { placeKey } from './elements.ts';
import type { BlockedReport } from './model.ts';
import { PORT_PROTOCOL_NUMBERS } from './ruleset.ts';
import { FAMILIES, familySets } from './tables.ts';

/** How many destinations a report names. */
const RECENT_MAX = 20;

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  ...Object.fromEntries(Object.entries(PORT_PROTOCOL_NUMBERS).map(([name, number]) => [number, name])),
  1: 'icmp',
  58: 'icmpv6',
};

type DynamicSet = 'admitted' | 'used' | 'blocked' | 'refused';
const DYNAMIC_SETS: readonly DynamicSet[] = ['admitted', 'used', 'blocked', 'refused'];

const addressLength = (family: Family): number => (family === 4 ? 4 : 16);

/** The elements of a set that stand for one of these sources. */
async function elementsOf(
  connection: NetlinkConnection,
  table: string,
  set: string,
  sources: readonly IpAddress[],
): Promise<DumpedElement[]> {
  const wanted = new Set(sources.map((address) => addressBytes(address).toString('hex')));
  const family = set.endsWith('4') ? 4 : 6;
  if (!sources.some((address) => address.family === family)) return [];
  return (await dumpElements(connection, table, set)).filter(({ key }) =>
    wanted.has(key.toString('hex', 0, addressLength(family))),
  );
}

/** All that is remembered of these sources, as elements to add or delete. */
export async function rememberedOf(
  connection: NetlinkConnection,
  table: string,
  sources: readonly IpAddress[],
): Promise<Placed[]> {
  const placed: Placed[] = [];
  for (const family of FAMILIES) {
    for (const name of DYNAMIC_SETS) {
      const set = familySets(family)[name];
      const elements = await elementsOf(connection, table, set, sources);
      placed.push(...elements.map((element) => ({ set, element })));
    }
  }
  return placed;
}

/** `forgetMs` is how long a refused destination is remembered. */
export async function readBlocked(
  connection: NetlinkConnection,
  table: string,
  sources: readonly IpAddress[],
  forgetMs: number,
): Promise<BlockedReport> {
  let packets = 0;
  const attempts: { at: number; destination: string }[] = [];
  for (const family of FAMILIES) {
    const sets = familySets(family);
    for (const { counter } of await elementsOf(connection, table, sets.refused, sources)) {
      packets += Number(counter?.packets ?? 0n);
    }
    const now = Date.now();
    for (const { key, expiresInMs } of await elementsOf(connection, table, sets.blocked, sources)) {
      const at = now - (forgetMs - (expiresInMs ?? 0));
      attempts.push({ at, destination: readDestination(key, family) });
    }
  }
  attempts.sort((a, b) => b.at - a.at);
  const recent = attempts
    .slice(0, RECENT_MAX)
    .map(({ at, destination }) => ({ time: new Date(at).toISOString(), destination }));
  return { packets, recent };
}

/** Of a key `source . destination . protocol . port`. */
function readDestination(key: Buffer, family: Family): string {
  const length = addressLength(family);
  const address = formatAddress(addressFromBytes(key.subarray(length, 2 * length)));
  const protocol = key[2 * length] ?? 0;
  const port = key.readUInt16BE(2 * length + 4);
  const name = PROTOCOL_NAMES[protocol] ?? String(protocol);
  if (port === 0) return `${address}/${name}`;
  return `${family === 6 ? `[${address}]` : address}:${port}/${name}`;
}

export function isRefusedSet(set: string): boolean {
  return FAMILIES.some((family) => familySets(family).refused === set);
}

/** Its elements let packets pass. */
export function isAdmittingSet(set: string): boolean {
  return FAMILIES.some((family) => set === familySets(family).admitted || set === familySets(family).used);
}

/** Counters go on from where they were. */
export function withCounters(placed: readonly Placed[], kept: readonly Placed[]): Placed[] {
  const counters = new Map(
    kept
      .filter(({ set }) => isRefusedSet(set))
      .map((entry): [string, Element] => [placeKey(entry), entry.element]),
  );
  return placed.map((entry) => {
    const counter = counters.get(placeKey(entry))?.counter;
    return counter === undefined ? entry : { ...entry, element: { ...entry.element, counter } };
  });
}
