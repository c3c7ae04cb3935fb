/**
 * Which sandboxes have a resolver, and what it is told: those on a user-defined network, and those with an egress
 * policy, whose names only our resolver may resolve. Once there it stays as long as the sandbox: resolv.conf names it.
 */

import type { NetworkOf } from './describe-network.ts';
import type { DnsServer } from './dns/dns-server.ts';
import type { EgressControl } from './egress-control.ts';
import type { ContainerNames } from './network-names.ts';
import { hasNames } from './network-names.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';

export interface NameServiceParts {
  store: NetworkStore;
  names: ContainerNames;
  dns: DnsServer;
  egress: EgressControl;
  networkOf: NetworkOf;
}

export class NameService {
  readonly #parts: NameServiceParts;

  constructor(parts: NameServiceParts) {
    this.#parts = parts;
  }

  /** Endpoints came or went, or containers have other names. */
  changed(rows: readonly EndpointRow[]): void {
    for (const row of rows) this.#parts.names.changed(row.networkId);
  }

  /** Whether it has a resolver, or `refresh` is about to open one. */
  hasResolver(sandbox: SandboxRow, rows: readonly EndpointRow[]): boolean {
    const { egress, networkOf } = this.#parts;
    if (sandbox.dnsPorts !== null || rows.some((row) => hasNames(networkOf(row.networkId)))) return true;
    return rows.length > 0 && egress.policy(sandbox, rows) !== null;
  }

  /** Opens the sandbox's resolver where it needs one, or tells it what changed. */
  async refresh(sandbox: SandboxRow, rows: readonly EndpointRow[]): Promise<void> {
    const { store, dns, egress, networkOf } = this.#parts;
    if (!this.hasResolver(sandbox, rows)) return;
    const networks = rows.map((row) => networkOf(row.networkId));
    const policy = egress.policy(sandbox, rows);
    const { udpPort, tcpPort } = await dns.open({
      containerId: sandbox.containerId,
      netnsPath: sandbox.netnsPath,
      servers: sandbox.dns.servers,
      external: networks.some(({ internal }) => !internal),
      policy,
      ports: sandbox.dnsPorts ?? undefined,
    });
    if (sandbox.dnsPorts?.udpPort === udpPort && sandbox.dnsPorts.tcpPort === tcpPort) return;
    sandbox.dnsPorts = { udpPort, tcpPort };
    store.putSandbox(sandbox);
  }

  /** Idempotent. */
  close(containerId: string): void {
    this.#parts.dns.close(containerId);
  }
}
