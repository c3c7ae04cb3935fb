/** The words between the name server and the network manager. */
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
