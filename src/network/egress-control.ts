/**
 * Which containers may reach only what their policy names: tells the firewall of their interfaces, lets in what the
 * resolver found for allowed names, and reports what was refused. The policy that counts is a container's own, or what
 * its networks have in common (egress/policy.ts).
 */
import { InvalidParameterError } from '../base/errors.ts';
import type { NetworkOf } from './describe-network.ts';
import type { AdmittedAddress, DnsServer } from './dns/dns-server.ts';
import { isBridged } from './driver-options.ts';
import { mergeEgress } from './egress/policy.ts';
import type { Firewall } from './firewall/firewall.ts';
import type { EgressRule } from './firewall/model.ts';
import { egressRule } from './firewall-state.ts';
import { parseAddress } from './ip-address.ts';
import type { EgressPolicy, EgressReport, NetworkRecord } from './model.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';

const RECENT_MAX = 32;

export class EgressControl {
  readonly #store: NetworkStore;
  readonly #firewall: Firewall;
  readonly #networkOf: NetworkOf;
  /** IDs of endpoints that the firewall has a rule for. */
  readonly #restricted = new Set<string>();

  constructor(store: NetworkStore, firewall: Firewall, networkOf: NetworkOf) {
    this.#store = store;
    this.#firewall = firewall;
    this.#networkOf = networkOf;
  }

  /** Null where neither the container nor its networks restrict it. */
  policy(sandbox: Pick<SandboxRow, 'egress'>, rows: readonly EndpointRow[]): EgressPolicy | null {
    return this.#merged(
      sandbox,
      rows.map((row) => this.#networkOf(row.networkId)),
    );
  }

  /** Throws InvalidParameter where a policy would hold for a network that passes no firewall. */
  requireEnforceable(sandbox: Pick<SandboxRow, 'egress'>, networks: readonly NetworkRecord[]): void {
    const open = networks.find(({ driver }) => !isBridged(driver));
    if (open === undefined || this.#merged(sandbox, networks) === null) return;
    throw new InvalidParameterError(
      `egress rules cannot be enforced on the network ${open.name}: its driver ${open.driver} passes no firewall, only bridge networks do`,
    );
  }

  /** Makes the firewall say of the endpoints `changed` what the policy of all `rows` is. */
  async restrict(
    sandbox: SandboxRow,
    rows: readonly EndpointRow[],
    changed: readonly EndpointRow[],
  ): Promise<void> {
    const policy = this.policy(sandbox, rows);
    for (const row of changed) {
      if (policy === null) await this.release(row);
      else {
        this.#restricted.add(row.endpointId);
        await this.#firewall.restrict(egressRule(row, policy));
      }
    }
  }

  isRestricted(row: EndpointRow): boolean {
    return this.#restricted.has(row.endpointId);
  }

  /** Of an endpoint that is gone, or free. Idempotent. */
  async release(row: EndpointRow): Promise<void> {
    if (!this.#restricted.has(row.endpointId)) return;
    await this.#firewall.unrestrict(row.containerId, row.hostInterface);
    this.#restricted.delete(row.endpointId);
  }

  /** Of all sandboxes, for a firewall that is made anew. */
  rules(): EgressRule[] {
    return this.#store.sandboxes().flatMap((sandbox) => {
      const rows = this.#store.endpoints(sandbox.containerId);
      const policy = this.policy(sandbox, rows);
      if (policy === null) return [];
      for (const row of rows) this.#restricted.add(row.endpointId);
      return rows.map((row) => egressRule(row, policy));
    });
  }

  /** Lets a container reach what an allowed name stands for. */
  async admit(containerId: string, addresses: readonly AdmittedAddress[]): Promise<void> {
    for (const { address, ttlSec } of addresses) {
      await this.#firewall.admit(containerId, [parseAddress(address)], ttlSec);
    }
  }

  async report(containerId: string, dns: DnsServer): Promise<EgressReport | undefined> {
    const sandbox = this.#store.sandbox(containerId);
    if (sandbox === undefined) return undefined;
    const policy = this.policy(sandbox, this.#store.endpoints(containerId));
    if (policy === null) return undefined;
    const blocked = await this.#firewall.blocked(containerId);
    const refused = dns.refusedNames(containerId) ?? { queries: 0, recent: [] };
    const names = refused.recent.map(({ time, name }) => ({ time, destination: name }));
    const recent = [...blocked.recent, ...names].sort((a, b) => (a.time < b.time ? 1 : -1));
    return {
      policy,
      blockedPackets: blocked.packets,
      refusedQueries: refused.queries,
      recent: recent.slice(0, RECENT_MAX),
    };
  }

  #merged(sandbox: Pick<SandboxRow, 'egress'>, networks: readonly NetworkRecord[]): EgressPolicy | null {
    return mergeEgress(
      sandbox.egress,
      networks.map((network) => network.egress),
    );
  }
}
