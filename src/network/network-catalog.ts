/**
 * The networks of this engine: found, made and removed. One is written down before the kernel hears of it and struck
 * out after, so that an interrupted change is undone at the next start. Changes go one after the other; a network that
 * is coming or going is not found.
 */

import type { NetworkCreateRequest, NetworkCreateResponse } from '../api/networks.ts';
import {
  ConflictError,
  errorMessage,
  ForbiddenError,
  InvalidParameterError,
  NotFoundError,
} from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import { step, stepSync } from '../base/steps.ts';
import type { NetworkDraft } from './create-request.ts';
import { isPredefined, judgeCreate } from './create-request.ts';
import { gatewayMode, OPTION } from './driver-options.ts';
import type { Firewall } from './firewall/firewall.ts';
import { firewallNetwork } from './firewall-state.ts';
import { formatSubnet, parseSubnet } from './ip-address.ts';
import { nextAddress } from './ipam/address-choice.ts';
import { familyOf } from './ipam/pool-request.ts';
import type { SubnetChoice } from './ipam/subnet-choice.ts';
import type { NetworkLinks } from './links/network-links.ts';
import type { AddressPool, NetworkRecord } from './model.ts';
import type { NetworkStore } from './network-store.ts';
import { randomId } from './network-store.ts';

export interface CatalogParts {
  store: NetworkStore;
  links: NetworkLinks;
  firewall: Firewall;
  subnets: SubnetChoice;
  /** Called before a network with IPv6 is made. */
  forwardIPv6: () => Promise<void>;
}

export class NetworkCatalog {
  readonly #parts: CatalogParts;
  readonly #mutex = new Mutex();

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /** In the order of being made. */
  list(): NetworkRecord[] {
    return this.#parts.store
      .networks()
      .filter(({ state }) => state === 'ready')
      .map(({ record }) => record);
  }

  /** Whatever its state. */
  byId(id: string): NetworkRecord {
    const record = this.#parts.store.network(id)?.record;
    if (record === undefined) throw new NotFoundError(`network ${id} not found`);
    return record;
  }

  /** Throws NotFound, InvalidParameter where several IDs begin so. */
  find(reference: string): NetworkRecord {
    const stored = this.#parts.store.network(reference);
    if (stored?.state === 'ready') return stored.record;
    const named = this.#parts.store
      .networks()
      .find(({ record, state }) => state === 'ready' && record.name === reference)?.record;
    if (named !== undefined) return named;
    const matches = reference === '' ? [] : this.list().filter(({ id }) => id.startsWith(reference));
    if (matches.length > 1) {
      throw new InvalidParameterError(
        `network ${reference} is ambiguous (${matches.length} matches found based on ID prefix)`,
      );
    }
    if (matches[0] === undefined) throw new NotFoundError(`network ${reference} not found`);
    return matches[0];
  }

  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse> {
    return this.#mutex.run(async () => {
      const { draft, warning } = judgeCreate(request, (name) => this.#configuration(name));
      if (this.#parts.store.networks().some(({ record }) => record.name === draft.name)) {
        throw new ConflictError(`network with name ${draft.name} already exists`);
      }
      const record = await this.#settle(draft);
      if (record.configOnly) this.#parts.store.putNetwork(record, 'ready');
      else await this.#make(record);
      return { Id: record.id, Warning: warning };
    });
  }

  remove(reference: string): Promise<NetworkRecord> {
    return this.#mutex.run(async () => {
      const record = this.find(reference);
      this.#requireRemovable(record);
      stepSync('network-remove/row', record.name, () => this.#parts.store.putNetwork(record, 'going'));
      try {
        await this.#unmake(record);
      } catch (error) {
        await this.#takeBack(record);
        throw error;
      }
      return record;
    });
  }

  /**
   * At the start of the daemon: undoes interrupted changes, and makes what the kernel has of all others right. A
   * network that cannot be made is logged and stays; starts of containers on it tell why.
   */
  restore(): Promise<void> {
    return this.#mutex.run(async () => {
      for (const { record, state } of this.#parts.store.networks()) {
        try {
          if (state !== 'ready') await this.#unmake(record);
          else if (record.name !== 'bridge') await this.ensure(record);
        } catch (error) {
          log.error({ network: record.name, reason: errorMessage(error) }, 'network: cannot be restored');
        }
      }
      const known = new Set(this.#parts.store.networks().map(({ record }) => record.id));
      for (const link of await this.#parts.links.strays(known)) await this.#parts.links.removeLink(link.name);
    });
  }

  /** Makes or mends the host's side of a network; not the firewall's. Idempotent. */
  async ensure(record: NetworkRecord): Promise<void> {
    if (record.configOnly || record.driver === 'host' || record.driver === 'null') return;
    if (record.ipv6 && record.driver === 'bridge') await this.#parts.forwardIPv6();
    await this.#parts.links.ensure(record);
  }

  async #make(record: NetworkRecord): Promise<void> {
    const { store, firewall } = this.#parts;
    stepSync('network-create/row', record.name, () => store.putNetwork(record, 'coming'));
    try {
      await step('network-create/links', record.name, () => this.ensure(record));
      const network = firewallNetwork(record);
      if (network !== undefined) {
        await step('network-create/firewall', record.name, () => firewall.addNetwork(network));
      }
      stepSync('network-create/ready', record.name, () => store.putNetwork(record, 'ready'));
    } catch (error) {
      await this.#unmakeQuietly(record);
      throw error;
    }
  }

  async #unmake(record: NetworkRecord): Promise<void> {
    const { store, links, firewall } = this.#parts;
    if (!record.configOnly) {
      if (firewallNetwork(record) !== undefined) {
        await step('network-remove/firewall', record.name, () => firewall.removeNetwork(record.id));
      }
      await step('network-remove/links', record.name, () => links.remove(record));
    }
    stepSync('network-remove/delete', record.name, () => store.removeNetwork(record.id));
  }

  /** What cannot be removed is there as before, to be removed later; where that fails too, the next start removes it. */
  async #takeBack(record: NetworkRecord): Promise<void> {
    try {
      await this.ensure(record);
      const network = firewallNetwork(record);
      if (network !== undefined) await this.#parts.firewall.addNetwork(network);
      this.#parts.store.putNetwork(record, 'ready');
    } catch (error) {
      log.error(
        { network: record.name, reason: errorMessage(error) },
        'network: is neither there nor removed',
      );
    }
  }

  /** For clean-up after another error, which is the one to report. What cannot be removed is removed at the next start. */
  async #unmakeQuietly(record: NetworkRecord): Promise<void> {
    try {
      await this.#unmake(record);
    } catch (error) {
      log.error({ network: record.name, reason: errorMessage(error) }, 'network: cannot be removed');
    }
  }

  #configuration(name: string): NetworkRecord {
    const found = this.list().find((record) => record.configOnly && [record.name, record.id].includes(name));
    if (found === undefined) throw new NotFoundError(`configuration network "${name}" does not exist`);
    return found;
  }

  /** Subnets, gateways and interface of the host: everything that is still open. */
  async #settle(draft: NetworkDraft): Promise<NetworkRecord> {
    const identity = { id: randomId(), created: new Date().toISOString() };
    if (draft.configOnly) return { ...draft, ...identity, hostInterface: '', ownsHostInterface: false };
    const { links, subnets } = this.#parts;
    for (const pool of draft.pools) subnets.requireUnused(parseSubnet(pool.subnet));
    this.#requireOwnBridge(draft, identity.id);
    const bridge = draft.driver === 'bridge' ? (draft.options[OPTION.bridgeName] ?? '') : '';
    // macvlan and ipvlan networks are part of a subnet that the host is in.
    if (draft.driver === 'bridge') {
      const except = bridge === '' ? [] : [bridge];
      for (const pool of draft.pools) await subnets.requireFree(parseSubnet(pool.subnet), except);
    }
    const pools = [...draft.pools];
    for (const family of [4, 6] as const) {
      const wanted = family === 4 ? draft.ipv4 : draft.ipv6;
      if (!wanted || pools.some((pool) => familyOf(pool) === family)) continue;
      pools.push(freshPool(formatSubnet(await subnets.choose(family, draft.name))));
    }
    pools.sort((a, b) => familyOf(a) - familyOf(b));
    const settled = { ...draft, ...identity, pools: pools.map((pool) => withGateway(draft, pool)) };
    return { ...settled, ...(await links.settle(settled)) };
  }

  /** Two networks on one bridge would undo each other's addresses. */
  #requireOwnBridge(draft: NetworkDraft, id: string): void {
    const bridge = draft.options[OPTION.bridgeName] ?? '';
    if (bridge === '' || draft.driver !== 'bridge') return;
    const other = this.#parts.store
      .networks()
      .find(({ record }) => record.driver === 'bridge' && record.hostInterface === bridge)?.record;
    if (other === undefined) return;
    throw new ForbiddenError(
      `cannot create network ${id} (${bridge}): conflicts with network ${other.id} (${bridge}): networks have same bridge name`,
    );
  }

  #requireRemovable(record: NetworkRecord): void {
    if (isPredefined(record.name)) {
      throw new ForbiddenError(`${record.name} is a pre-defined network and cannot be removed`);
    }
    const { store } = this.#parts;
    const dependent = store.networks().find((other) => other.record.configFrom === record.name);
    if (record.configOnly && dependent !== undefined) {
      throw new ForbiddenError(`configuration network "${record.name}" is in use`);
    }
    const active = store.endpointsOf(record.id).map((row) => {
      const name = store.sandbox(row.containerId)?.containerName ?? '';
      return `name:"${name}" id:"${row.endpointId.slice(0, 12)}"`;
    });
    if (active.length === 0) return;
    throw new ForbiddenError(
      `error while removing network: network ${record.name} has active endpoints (${active.join(', ')})`,
    );
  }
}

function freshPool(subnet: string): AddressPool {
  return { subnet, range: '', gateway: '', auxiliary: {}, configured: false };
}

/** The first address that containers could have. Networks whose containers send straight out, or that have no address on the host, need none. */
function withGateway(draft: NetworkDraft, pool: AddressPool): AddressPool {
  if (pool.gateway !== '') return pool;
  const direct = draft.driver === 'ipvlan' && (draft.options[OPTION.ipvlanMode] ?? '').startsWith('l3');
  const isolated = draft.driver === 'bridge' && gatewayMode(draft.options, familyOf(pool)) === 'isolated';
  if (direct || isolated) return pool;
  const gateway = nextAddress(pool, '', new Set());
  if (gateway === undefined) {
    throw new ForbiddenError(`invalid pool request: Pool ${pool.subnet} has no address for a gateway`);
  }
  return { ...pool, gateway };
}
