/**
 * Whether the tables of others drop what containers send and receive. A packet passes the host only if every table
 * lets it: nothing that ours accepts is safe from a `policy drop` elsewhere. Tables are read, never changed; what can
 * only be guessed is not reported.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import type { NetlinkConnection } from '../netlink/connection.ts';
import type { ForeignChain } from '../netlink/nft-rules.ts';
import { readChains } from '../netlink/nft-rules.ts';
import type { Outcome, ProbePacket } from './packet-walk.ts';
import { PacketWalk } from './packet-walk.ts';

export interface ForeignDrop {
  /** `inet firewalld`, `ip filter`, `iptables-legacy filter`. */
  table: string;
  chain: string;
  /** What is dropped, and what to do. */
  reason: string;
}

export interface OwnTraffic {
  bridges: readonly string[];
  ipv6: boolean;
}

const FORWARD_HOOK = 2;
const FAMILY_NAMES: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 10: 'ip6' };
/** Tables of engines of ours, this one and others: they only judge their own bridges. */
const OWN_TABLE = /^mydock(_[a-z0-9]{1,8})?$/;
const LEGACY = { 4: 'ip_tables_names', 6: 'ip6_tables_names' } as const;
const LEGACY_TIMEOUT_MS = 2000;

/** One for each chain that drops, the first bridge that it concerns named. */
export async function foreignDrops(connection: NetlinkConnection, own: OwnTraffic): Promise<ForeignDrop[]> {
  if (own.bridges.length === 0) return [];
  const chains = (await readChains(connection)).filter(
    ({ family, table }) => !(family === 1 && OWN_TABLE.test(table)),
  );
  const drops = chains.flatMap((chain) => dropsOf(chain, chains, own));
  return [...drops, ...(await legacyDrops(own))];
}

function dropsOf(base: ForeignChain, chains: readonly ForeignChain[], own: OwnTraffic): ForeignDrop[] {
  const familyName = FAMILY_NAMES[base.family];
  if (familyName === undefined || base.hook?.type !== 'filter' || base.hook.number !== FORWARD_HOOK)
    return [];
  const table = chains.filter((chain) => chain.family === base.family && chain.table === base.table);
  for (const packet of probes(base.family, own)) {
    const outcome = new PacketWalk(table, packet).through(base);
    if (outcome.verdict !== 'drop') continue;
    const name = `${familyName} ${base.table}`;
    return [{ table: name, chain: outcome.chain, reason: describe(outcome, packet, name, base.name) }];
  }
  return [];
}

/** What leaves each bridge, and what comes to published ports. */
function probes(tableFamily: number, { bridges, ipv6 }: OwnTraffic): ProbePacket[] {
  const families = ([4, 6] as const).filter(
    (family) => tableFamily === 1 || tableFamily === (family === 4 ? 2 : 10),
  );
  const outside = uplink(bridges);
  return families
    .filter((family) => family === 4 || ipv6)
    .flatMap((family) =>
      bridges.flatMap((bridge) => [
        { inputInterface: bridge, outputInterface: outside, family, translated: false },
        { inputInterface: outside, outputInterface: bridge, family, translated: true },
      ]),
    );
}

/** The interface of the default route; without one, any that is not ours. */
function uplink(bridges: readonly string[]): string {
  const routes = readFileSync('/proc/net/route', 'utf8').split('\n').slice(1);
  const byDefault = routes
    .map((line) => line.split('\t'))
    .find(([, destination]) => destination === '00000000');
  const others = Object.keys(networkInterfaces()).filter((name) => name !== 'lo' && !bridges.includes(name));
  return byDefault?.[0] ?? others[0] ?? 'eth0';
}

function describe(
  outcome: Outcome & { verdict: 'drop' },
  packet: ProbePacket,
  table: string,
  base: string,
): string {
  const { inputInterface, outputInterface, family, translated } = packet;
  const what = translated
    ? `IPv${family} connections to published ports behind ${outputInterface}`
    : `IPv${family} connections of containers behind ${inputInterface}`;
  const bridge = translated ? outputInterface : inputInterface;
  const remedy = `let its chain "${base}" accept what goes to and comes from ${bridge}`;
  return outcome.handle === undefined
    ? `the policy of chain "${outcome.chain}" drops ${what}: ${remedy}`
    : `the rule with handle ${outcome.handle} of chain "${outcome.chain}" drops ${what} (see nft -a list chain ${table} ${outcome.chain}): ${remedy}`;
}

/** The kernel shows rules of the older iptables to that program alone. */
async function legacyDrops({ bridges, ipv6 }: OwnTraffic): Promise<ForeignDrop[]> {
  const drops: ForeignDrop[] = [];
  for (const family of [4, 6] as const) {
    if ((family === 6 && !ipv6) || !hasLegacyFilter(family)) continue;
    const program = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
    const lines = await legacyRules(program);
    const missing = bridges.find((bridge) => !lines.some((line) => isMention(line, bridge)));
    if (!lines.includes('-P FORWARD DROP') || missing === undefined) continue;
    // A rule without interfaces may accept everything, or decide in a chain of its own.
    if (
      lines.some((line) => /^-A FORWARD(?!.* -[io] )(?!.*ESTABLISHED).* -[jg] (?!DROP|REJECT|LOG)/.test(line))
    )
      continue;
    drops.push({
      table: `${program} filter`,
      chain: 'FORWARD',
      reason: `the policy of chain "FORWARD" drops IPv${family} connections of containers behind ${missing}: let it accept what goes to and comes from ${missing}`,
    });
  }
  return drops;
}

function hasLegacyFilter(family: 4 | 6): boolean {
  try {
    return readFileSync(`/proc/net/${LEGACY[family]}`, 'utf8').split('\n').includes('filter');
  } catch {
    // The kernel has no such tables.
    return false;
  }
}

async function legacyRules(program: string): Promise<string[]> {
  try {
    const { stdout } = await promisify(execFile)(program, ['-S', 'FORWARD'], { timeout: LEGACY_TIMEOUT_MS });
    return stdout.split('\n');
  } catch {
    // Without the program nobody can tell.
    return [];
  }
}

function isMention(line: string, bridge: string): boolean {
  return / -j ACCEPT/.test(line) && new RegExp(` -[io] ${bridge.replaceAll('.', '\\.')}( |$)`).test(line);
}
