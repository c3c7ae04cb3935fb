/**
 * Forwarding of the host, IPv4's when the daemon starts, IPv6's with the first network that has it. Containers need it;
 * switched on, it would also make a router of a host that was none. So the interfaces between which the host did not
 * forward before are remembered (until the next boot, as the switch itself), and the firewall keeps them apart.
 *
 * A router does not listen to other routers: with IPv6 forwarding the kernel drops the default route that it learned by
 * router advertisements, and learns no other, unless the interface's accept_ra is 2 (Linux, ip-sysctl). Interfaces that
 * accept advertisements are told to go on doing so.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Family } from './ip-address.ts';
import type { NetworkStore } from './network-store.ts';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

const SETTINGS = {
  4: { fact: 'uplinks', conf: '/proc/sys/net/ipv4/conf', all: '/proc/sys/net/ipv4/ip_forward' },
  6: { fact: 'uplinks_ipv6', conf: '/proc/sys/net/ipv6/conf', all: '/proc/sys/net/ipv6/conf/all/forwarding' },
} as const;

const NO_INTERFACES = ['all', 'default', 'lo'];

/** Switches forwarding on and returns the interfaces to keep apart; none of `own` (what leads to containers alone) is one. */
export function enableForwarding(
  store: Pick<NetworkStore, 'hostFact' | 'setHostFact'>,
  family: Family,
  own: readonly string[],
): string[] {
  const { fact, conf, all } = SETTINGS[family];
  const boot = readFileSync(BOOT_ID, 'utf8').trim();
  // A kernel without IPv6: the network's interface is what fails, with a better reason.
  if (!existsSync(all)) return [];
  if (readFileSync(all, 'utf8').trim() !== '0') return apart(store, family);
  const names = readdirSync(conf).filter(
    (name) =>
      !NO_INTERFACES.includes(name) &&
      !own.includes(name) &&
      !isBridgePort(name) &&
      !isOn(`${conf}/${name}/forwarding`),
  );
  // Remembered first: a crash in between must not leave a router behind.
  store.setHostFact(fact, JSON.stringify({ boot, names }));
  if (family === 6) for (const name of [...names, 'default']) keepAdvertisements(`${conf}/${name}/accept_ra`);
  writeFileSync(all, '1');
  return names;
}

/** The interfaces to keep apart, as far as forwarding was switched on by us since the host booted. */
export function apart(store: Pick<NetworkStore, 'hostFact'>, family: Family): string[] {
  const fact: unknown = JSON.parse(store.hostFact(SETTINGS[family].fact) ?? 'null');
  if (typeof fact !== 'object' || fact === null || !('boot' in fact) || !('names' in fact)) return [];
  const boot = readFileSync(BOOT_ID, 'utf8').trim();
  return fact.boot === boot && Array.isArray(fact.names) ? fact.names.map(String) : [];
}

/** What comes through one is forwarded as its bridge's, so that keeping it apart would say nothing. */
function isBridgePort(name: string): boolean {
  return existsSync(`/sys/class/net/${name}/brport`);
}

function isOn(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').trim() !== '0';
  } catch {
    // The interface went away meanwhile.
    return true;
  }
}

function keepAdvertisements(path: string): void {
  try {
    if (readFileSync(path, 'utf8').trim() === '1') writeFileSync(path, '2');
  } catch {
    // The interface went away meanwhile.
  }
}
