/**
 * IPv4 forwarding of the host. Containers need it; switched on, it would also make a router of a host that was none.
 * So the interfaces between which the host did not forward before are remembered (until the next boot, as the switch
 * itself), and the firewall keeps them apart.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { linkNames } from './links.ts';
import type { NetworkStore } from './network-store.ts';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';
const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const FACT = 'uplinks';

/** Switches forwarding on and returns the interfaces to keep apart. `bridge` is never one of them. */
export async function enableForwarding(store: NetworkStore, bridge: string): Promise<string[]> {
  const boot = readFileSync(BOOT_ID, 'utf8').trim();
  if (readFileSync(IP_FORWARD, 'utf8').trim() !== '0') return remembered(store, boot);
  const names = (await linkNames()).filter((name) => name !== bridge && !forwards(name));
  // Remembered first: a crash in between must not leave a router behind.
  store.setHostFact(FACT, JSON.stringify({ boot, names }));
  writeFileSync(IP_FORWARD, '1');
  return names;
}

function remembered(store: NetworkStore, boot: string): string[] {
  const fact: unknown = JSON.parse(store.hostFact(FACT) ?? 'null');
  if (typeof fact !== 'object' || fact === null || !('boot' in fact) || !('names' in fact)) return [];
  return fact.boot === boot && Array.isArray(fact.names) ? fact.names.map(String) : [];
}

function forwards(name: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv4/conf/${name}/forwarding`, 'utf8').trim() !== '0';
  } catch {
    // The interface went away meanwhile.
    return true;
  }
}
