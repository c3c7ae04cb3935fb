/** The name servers that the host itself uses, as they are now. */
import { isIP } from 'node:net';
import { hostResolvConf } from '../hosts-files.ts';

/** A change of the file counts after this long at most. */
const KEPT_MS = 1_000;
/** resolv.conf(5) counts no more. */
const SERVERS_MAX = 3;
/** Asked where the host has none, as Docker does. */
const PUBLIC_SERVERS = ['8.8.8.8', '8.8.4.4'];

export class HostServers {
  readonly #read: () => string;
  #servers: readonly string[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  /** `read` gives a resolv.conf; default: the host's, or systemd-resolved's list where that names only its stub. */
  constructor(read: () => string = () => hostResolvConf(false)) {
    this.#read = read;
  }

  list(): readonly string[] {
    const now = performance.now();
    if (now - this.#readMs > KEPT_MS) {
      const found = parseServers(this.#read());
      this.#servers = found.length > 0 ? found : PUBLIC_SERVERS;
      this.#readMs = now;
    }
    return this.#servers;
  }
}

function parseServers(text: string): string[] {
  return text
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((server) => isIP(server) !== 0)
    .slice(0, SERVERS_MAX);
}
