/**
 * Name resolution at 127.0.0.11 in containers' network namespaces: one resolver a container (container-resolver.ts),
 * all in the daemon. This file opens and closes them and owns what they share: the limits, and the host's name servers.
 *
 * The wiring of a container: the daemon listens on 127.0.0.11 inside the namespace, on ports that are high and free,
 * and an nftables table in there (redirection.ts) sends port 53 of that address to them, so that the container itself
 * can still bind port 53 of every address.
 */
import type { EgressPolicy } from '../model.ts';

/** What containers are called. Names are in lower case, without the last dot. */
export interface NameSource {
  /** Addresses of both families, as text; undefined where no container that this one can see has the name. */
  forward(containerId: string, name: string): readonly string[] | undefined;
  /** The name of the container that has `address` (canonical text), undefined where none is. */
  reverse(containerId: string, address: string): string | undefined;
}

/** The ports on 127.0.0.11 that a resolver listens on. */
export interface DnsPorts {
  udpPort: number;
  tcpPort: number;
}

export interface DnsSandbox {
  containerId: string;
  netnsPath: string;
  /**
   * `--dns`: asked from inside the container's namespace; from the host's where there is a policy, which would not let
   * the container's own packets out. Empty: the host's servers, asked from the host's namespace.
   */
  servers: readonly string[];
  /** False where all networks are internal: names of others are answered with SERVFAIL, as Docker does. */
  external: boolean;
  /** Names outside it are answered with NXDOMAIN, and counted. */
  policy: EgressPolicy | null;
  /** What an earlier daemon listened on: taken again where they are free. */
  ports?: DnsPorts | undefined;
}

export interface AdmittedAddress {
  address: string;
  /** How long it is to be admitted: the answer's TTL, generously. */
  ttlSec: number;
}

export interface RefusedNames {
  /** Queries for names outside the policy since the resolver was opened. */
  queries: number;
  /** The last of those, newest first. */
  recent: { time: string; name: string }[];
}

export interface DnsServerOptions {
  names: NameSource;
  /**
   * Called for containers with a policy, with the addresses of an allowed name, and awaited before the container hears
   * of them. Where it rejects, the container gets SERVFAIL.
   */
  onAnswer?: (containerId: string, name: string, addresses: AdmittedAddress[]) => Promise<void>;
}

export class DnsServer {
  readonly #options: DnsServerOptions;

  constructor(options: DnsServerOptions) {
    this.#options = options;
  }

  /** Answers from the moment it returns. For a container that has a resolver: its settings change, its ports stay. */
  open(sandbox: DnsSandbox): Promise<DnsPorts> {
    void this.#options;
    return Promise.reject(new Error(`dns: cannot open ${sandbox.containerId}`));
  }

  /** Ends the container's resolver; the table in its namespace goes with the namespace. Idempotent. */
  close(_containerId: string): void {}

  /** Undefined where the container has no resolver. */
  refusedNames(_containerId: string): RefusedNames | undefined {
    return undefined;
  }

  /** Ends all resolvers. Clients' queries are then lost, not refused, until a new daemon opens them again. */
  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}
