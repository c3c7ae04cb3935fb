/**
 * Sockets that are bound to ports and stay open from one daemon to the next: of published ports, and of the resolvers
 * inside containers' namespaces. A daemon that is taken over offers them (takeover/); its successor finds them here
 * instead of binding anew, so that no packet meets a closed port in between, and nobody else can take one.
 */
import { closeSync } from 'node:fs';
import { addon } from './addon.ts';

export interface BoundPlace {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly address: string;
  /** Never 0. */
  readonly port: number;
  /** Null: the daemon's own namespace. */
  readonly netnsPath: string | null;
}

const open = new Map<string, number>();
const inherited = new Map<string, number>();

/** As the addon's `bindPort`; a socket that was inherited for the place is what is given. */
export function bindPort(
  protocol: BoundPlace['protocol'],
  address: string,
  port: number,
  netnsPath: string | null = null,
): number {
  const key = keyOf({ protocol, address, port, netnsPath });
  const fd = inherited.get(key);
  if (fd === undefined) return addon().bindPort(protocol, address, port, netnsPath);
  inherited.delete(key);
  return fd;
}

/** From here on a successor is given `fd`, until `withdraw`, which must come before it is closed. */
export function offer(place: BoundPlace, fd: number): void {
  open.set(keyOf(place), fd);
}

export function withdraw(fd: number): void {
  for (const [key, other] of open) if (other === fd) open.delete(key);
}

/** Second descriptors of all that are open. What this process may not have more of is left out: it is bound anew. */
export function duplicates(): Map<string, number> {
  const all = new Map<string, number>();
  for (const [key, fd] of open) {
    try {
      all.set(key, addon().duplicate(fd));
    } catch {
      // EMFILE: the successor binds the rest itself.
      break;
    }
  }
  return all;
}

/** What `duplicates` gave in another process, or earlier in this one. */
export function inherit(sockets: ReadonlyMap<string, number>): void {
  for (const [key, fd] of sockets) inherited.set(key, fd);
}

/** Closes what nobody has asked for: of containers that have ended meanwhile. */
export function dropInherited(): void {
  for (const fd of inherited.values()) closeSync(fd);
  inherited.clear();
}

function keyOf({ protocol, address, port, netnsPath }: BoundPlace): string {
  return JSON.stringify([protocol, address, port, netnsPath]);
}
