/**
 * Name resolution at 127.0.0.11 in containers' network namespaces: one resolver a container (container-resolver.ts),
 * all in the daemon. This file opens and closes them and owns what they share: the limits, and the host's name servers.
 *
 * The wiring of a container: the daemon listens on 127.0.0.11 inside the namespace (listener.ts), on ports that are
 * high and free, and an nftables table in there (redirection.ts) sends port 53 of that address to them, so that the
 * container itself can still bind port 53 of every address.
 */
import { Admission } from '../egress/admission.ts';
import type { ResolverShared } from './container-resolver.ts';
import { ContainerResolver } from './container-resolver.ts';
import type { AdmittedAddress, DnsPorts, DnsSandbox, NameSource, RefusedNames } from './dns-sandbox.ts';
import { Forwarder } from './forwarder.ts';
import { HostServers } from './host-servers.ts';
import { Listener } from './listener.ts';
import { QueryGate } from './query-gate.ts';
import { installRedirection } from './redirection.ts';

export type { AdmittedAddress, DnsPorts, DnsSandbox, NameSource, RefusedNames } from './dns-sandbox.ts';

export interface DnsServerOptions {
  names: NameSource;
  /**
   * Called for containers with a policy, with the addresses of an allowed name, and awaited before the container hears
   * of them. Where it rejects, the container gets SERVFAIL.
   */
  onAnswer?: (containerId: string, name: string, addresses: AdmittedAddress[]) => Promise<void>;
  /** For tests; default: the host's. */
  hostServers?: HostServers;
  admission?: Admission;
}

interface Entry {
  netnsPath: string;
  resolver: ContainerResolver;
  listener: Listener;
}

export class DnsServer {
  readonly #shared: ResolverShared;
  readonly #entries = new Map<string, Entry>();

  constructor(options: DnsServerOptions) {
    this.#shared = {
      names: options.names,
      onAnswer: options.onAnswer ?? (() => Promise.resolve()),
      admission: options.admission ?? new Admission(),
      gate: new QueryGate(),
      hostServers: options.hostServers ?? new HostServers(),
      hostForwarder: new Forwarder(),
    };
  }

  /**
   * Answers from the moment it returns. For a container that has a resolver in this namespace: its settings change, its
   * ports stay. Throws the system error where the namespace is gone or the kernel has no nftables NAT.
   */
  async open(sandbox: DnsSandbox): Promise<DnsPorts> {
    const { containerId, netnsPath, ports } = sandbox;
    const existing = this.#entries.get(containerId);
    if (existing?.netnsPath === netnsPath) {
      existing.resolver.update(sandbox);
      return existing.listener.ports;
    }
    this.close(containerId);
    const resolver = new ContainerResolver(sandbox, this.#shared);
    const listener = Listener.open(netnsPath, ports, (packet, transport) =>
      resolver.handle(packet, transport),
    );
    const entry = { netnsPath, resolver, listener };
    this.#entries.set(containerId, entry);
    try {
      const { udpPort, tcpPort } = listener.ports;
      const kept = udpPort === ports?.udpPort && tcpPort === ports.tcpPort;
      await installRedirection(netnsPath, listener.ports, kept);
    } catch (error) {
      if (this.#entries.get(containerId) === entry) this.close(containerId);
      throw error;
    }
    return listener.ports;
  }

  /** Ends the container's resolver; the table in its namespace goes with the namespace. Idempotent. */
  close(containerId: string): void {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) return;
    this.#entries.delete(containerId);
    entry.resolver.close();
    entry.listener.close();
  }

  /** Undefined where the container has no resolver. */
  refusedNames(containerId: string): RefusedNames | undefined {
    return this.#entries.get(containerId)?.resolver.refusedNames();
  }

  /** Ends all resolvers. Queries are then lost, not refused, until a new daemon opens them again. */
  shutdown(): Promise<void> {
    for (const containerId of [...this.#entries.keys()]) this.close(containerId);
    return Promise.resolve();
  }
}
