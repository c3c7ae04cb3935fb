/**
 * Containers' networking: namespace, endpoints, ports, names and policies. This file decides the order of things and
 * what is undone when one fails. Everything is written down before it is made, and struck out after it is gone, so that
 * detach and reconcile find whatever an interruption left. Operations on one container go one after the other.
 */

import type { EndpointSettings } from '../api/networks.ts';
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
import type { NetworkOf } from './describe-network.ts';
import { describeSandbox, prefixLength } from './describe-network.ts';
import { isBridged } from './driver-options.ts';
import type { EgressControl } from './egress-control.ts';
import { chooseEndpoint, judgeEndpoint } from './endpoint-request.ts';
import type { Firewall } from './firewall/firewall.ts';
import type { DefaultRoutes } from './gateway-choice.ts';
import { defaultRoutes, sameRoutes } from './gateway-choice.ts';
import { parseAddress } from './ip-address.ts';
import type { LinkReaper } from './link-reaper.ts';
import type { EndpointPlan, Link, NetworkLinks } from './links/network-links.ts';
import type { AttachRequest, NetworkRecord, PortsChange, Sandbox } from './model.ts';
import type { NameService } from './name-service.ts';
import type { NetnsPool } from './netns-pool.ts';
import { removeNetns } from './netns-pool.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';
import { addressesOf } from './network-store.ts';
import type { PortPublisher } from './published-ports.ts';

/** So that hundreds of containers do not wait one after the other for answers of the kernel. */
const MENDED_AT_ONCE = 8;

export interface SandboxParts {
  store: NetworkStore;
  catalog: NetworkCatalog;
  links: NetworkLinks;
  firewall: Firewall;
  pool: NetnsPool;
  reaper: LinkReaper;
  publisher: PortPublisher;
  egress: EgressControl;
  names: NameService;
}

interface Wanted {
  network: NetworkRecord;
  settings: EndpointSettings;
}

export class Sandboxes {
  readonly #parts: SandboxParts;
  readonly #networkOf: NetworkOf;
  readonly #mutexes = new Map<string, { mutex: Mutex; users: number }>();

  constructor(parts: SandboxParts) {
    this.#parts = parts;
    this.#networkOf = (id) => parts.catalog.byId(id);
  }

  attach(request: AttachRequest, begun?: (sandbox: Sandbox) => void): Promise<Sandbox> {
    const { containerId } = request;
    return this.#serially(containerId, async () => {
      // Before anything is made: the clean-up after a failure removes all that the container has.
      if (this.#parts.store.sandbox(containerId) !== undefined) {
        throw new ConflictError(`container ${containerId} already has a network namespace`);
      }
      this.#wanted(request);
      const sandbox = await this.#begin(request);
      try {
        // resolv.conf is written by what this says, which may be before the resolver is there.
        const dns = this.#parts.names.hasResolver(sandbox, this.#rows(containerId));
        begun?.({ ...this.#describe(sandbox), dns });
        for (const row of this.#rows(containerId)) await this.#plug(sandbox, row, true);
        await Promise.all([
          step('network/publish', containerId, () =>
            this.#parts.publisher.publish(sandbox, this.#rows(containerId)),
          ),
          step('network/names', containerId, () =>
            this.#parts.names.refresh(sandbox, this.#rows(containerId)),
          ),
        ]);
        return this.#describe(sandbox);
      } catch (error) {
        await this.#detachQuietly(containerId);
        throw error;
      }
    });
  }

  detach(containerId: string): Promise<void> {
    return this.#serially(containerId, () => this.#detach(containerId));
  }

  connect(containerId: string, reference: string, settings: EndpointSettings): Promise<Sandbox> {
    return this.#serially(containerId, async () => {
      const { store, catalog, egress } = this.#parts;
      const sandbox = this.#require(containerId);
      const network = catalog.find(reference);
      this.#judge({ network, settings });
      const before = this.#rows(containerId);
      if (before.some((row) => row.networkId === network.id)) {
        throw new ForbiddenError(
          `endpoint with name ${sandbox.containerName} already exists in network ${network.name}`,
        );
      }
      egress.requireEnforceable(sandbox, [...before.map((row) => this.#networkOf(row.networkId)), network]);
      const chosen = chooseEndpoint(store, network, sandbox, settings, before);
      sandbox.settling = true;
      stepSync('network/endpoint-row', containerId, () =>
        store.put(sandbox, [chosen.row], chosen.lastAddresses),
      );
      try {
        await this.#plug(sandbox, chosen.row);
        await this.#settle(sandbox, before, this.#rows(containerId));
        this.#settled(sandbox);
      } catch (error) {
        await this.#disconnectQuietly(sandbox, chosen.row);
        throw error;
      }
      return this.#describe(sandbox);
    });
  }

  disconnect(containerId: string, reference: string): Promise<Sandbox> {
    return this.#serially(containerId, async () => {
      const sandbox = this.#require(containerId);
      const network = this.#parts.catalog.find(reference);
      const row = this.#rows(containerId).find(({ networkId }) => networkId === network.id);
      if (row === undefined) {
        throw new ForbiddenError(`container ${containerId} is not connected to network ${network.name}`);
      }
      await this.#disconnect(sandbox, row);
      return this.#describe(sandbox);
    });
  }

  changePorts(containerId: string, change: PortsChange): Promise<Sandbox> {
    return this.#serially(containerId, async () => {
      const sandbox = this.#require(containerId);
      await this.#parts.publisher.change(sandbox, this.#rows(containerId), change);
      return this.#describe(sandbox);
    });
  }

  rename(containerId: string, name: string): void {
    const { store, names } = this.#parts;
    const sandbox = store.sandbox(containerId);
    if (sandbox === undefined) return;
    sandbox.containerName = name;
    stepSync('network/rename-row', containerId, () => store.putSandbox(sandbox));
    names.changed(this.#rows(containerId));
  }

  /**
   * Removes what belongs to no container of `live`, in database and kernel, and mends the rest: what the kernel's one
   * list of cables shows to be in order costs no further question.
   */
  async reconcile(live: ReadonlySet<string>): Promise<Map<string, Sandbox>> {
    const { store } = this.#parts;
    const cables = await this.#removeDead(live);
    const sandboxes = new Map<string, Sandbox>();
    const left = store.sandboxes().values();
    const mender = async (): Promise<void> => {
      for (const sandbox of left) {
        await this.#serially(sandbox.containerId, () => this.#mend(sandbox, cables));
        sandboxes.set(sandbox.containerId, this.#describe(sandbox));
      }
    };
    await Promise.all(Array.from({ length: MENDED_AT_ONCE }, mender));
    return sandboxes;
  }

  /** Throws what `attach` would throw of networks that cannot be had. The predefined `none` is no endpoint. */
  #wanted(request: AttachRequest): Wanted[] {
    const wanted = request.networks
      .map(({ network, settings }) => ({ network: this.#parts.catalog.find(network), settings }))
      .filter(({ network }) => network.driver !== 'null');
    for (const each of wanted) this.#judge(each);
    wanted.forEach(({ network }, index) => {
      if (wanted.slice(0, index).some((other) => other.network.id === network.id)) {
        throw new InvalidParameterError(`network ${network.name} is given twice`);
      }
    });
    this.#parts.egress.requireEnforceable(
      request,
      wanted.map(({ network }) => network),
    );
    return wanted;
  }

  #judge({ network, settings }: Wanted): void {
    if (network.driver === 'host' || network.driver === 'null') {
      throw new ForbiddenError(`container cannot be connected to the network ${network.name}`);
    }
    judgeEndpoint(network, settings);
  }

  /** Namespace, addresses and names, written down. */
  async #begin(request: AttachRequest): Promise<SandboxRow> {
    const { store, pool, names } = this.#parts;
    const netnsPath = await step('network/namespace', request.containerId, () =>
      pool.take(request.userNamespace),
    );
    try {
      const sandbox: SandboxRow = {
        containerId: request.containerId,
        containerName: request.containerName,
        hostname: request.hostname,
        netnsPath,
        mappings: [...request.ports],
        ports: [],
        dns: request.dns,
        egress: request.egress,
        dnsPorts: null,
        nextInterface: {},
      };
      const rows: EndpointRow[] = [];
      const lastAddresses: Parameters<NetworkStore['put']>[2][number][] = [];
      // Again, and without a pause from here to the database: networks may have gone meanwhile.
      for (const { network, settings } of this.#wanted(request)) {
        const chosen = chooseEndpoint(store, network, sandbox, settings, rows);
        rows.push(chosen.row);
        lastAddresses.push(...chosen.lastAddresses);
      }
      stepSync('network/sandbox-row', request.containerId, () => store.put(sandbox, rows, lastAddresses));
      names.changed(rows);
      return sandbox;
    } catch (error) {
      removeNetns(netnsPath);
      throw error;
    } finally {
      pool.refill();
    }
  }

  /** Restricted before it can send anything; its default route comes with it where the namespace has none by others. */
  async #plug(sandbox: SandboxRow, row: EndpointRow, unused = false): Promise<void> {
    const { links, egress } = this.#parts;
    const rows = this.#rows(row.containerId);
    const { containerId } = row;
    await step('network/restrict', containerId, () => egress.restrict(sandbox, rows, [row]));
    await step('network/plug', containerId, () =>
      links.plug(this.#networkOf(row.networkId), this.#plan(row, rows), sandbox.netnsPath, unused),
    );
  }

  /** Routes, ports, policies and names after the endpoints changed. */
  async #settle(
    sandbox: SandboxRow,
    before: readonly EndpointRow[],
    after: readonly EndpointRow[],
  ): Promise<void> {
    const { publisher, egress, names } = this.#parts;
    const { containerId } = sandbox;
    await step('network/routes', containerId, () => this.#setRoutes(sandbox, before, after));
    await step('network/move-ports', containerId, () => publisher.move(sandbox, before, after));
    await step('network/restrict', containerId, () => egress.restrict(sandbox, after, after));
    names.changed([...before, ...after]);
    await step('network/names', containerId, () => names.refresh(sandbox, after));
  }

  #settled(sandbox: SandboxRow): void {
    delete sandbox.settling;
    stepSync('network/settled', sandbox.containerId, () => this.#parts.store.putSandbox(sandbox));
  }

  async #setRoutes(
    sandbox: SandboxRow,
    before: readonly EndpointRow[],
    after: readonly EndpointRow[],
  ): Promise<void> {
    const routes = defaultRoutes(after, this.#networkOf);
    if (sameRoutes(routes, defaultRoutes(before, this.#networkOf))) return;
    await this.#parts.links.setDefaultRoutes(sandbox.netnsPath, routes);
  }

  async #disconnect(sandbox: SandboxRow, row: EndpointRow): Promise<void> {
    const { store, links, egress, names } = this.#parts;
    const before = this.#rows(row.containerId);
    const after = before.filter((other) => other !== row);
    sandbox.settling = true;
    stepSync('network/settling', row.containerId, () => this.#parts.store.putSandbox(sandbox));
    // What a container has done to its other interfaces does not keep it on this one.
    const { containerId } = row;
    const routed = await this.#logged(sandbox, 'has no default route', () =>
      step('network/routes', containerId, () => this.#setRoutes(sandbox, before, after)),
    );
    await step('network/move-ports', containerId, () => this.#parts.publisher.move(sandbox, before, after));
    await step('network/unplug', containerId, () =>
      links.unplug(this.#networkOf(row.networkId), this.#plan(row, after), sandbox.netnsPath),
    );
    await step('network/release', containerId, () => egress.release(row));
    await step('network/flows', containerId, () => this.#forgetFlows(row));
    stepSync('network/endpoint-delete', containerId, () => store.removeEndpoint(containerId, row.networkId));
    await step('network/restrict', containerId, () => egress.restrict(sandbox, after, after));
    names.changed([row]);
    await step('network/names', containerId, () => names.refresh(sandbox, after));
    // What could not be set for want of descriptors or memory, the next daemon sets.
    if (routed) this.#settled(sandbox);
  }

  async #detach(containerId: string): Promise<void> {
    const { store, publisher, egress, names, links, reaper } = this.#parts;
    const sandbox = store.sandbox(containerId);
    if (sandbox === undefined) return;
    const rows = this.#rows(containerId);
    names.close(containerId);
    const hadDatagrams = sandbox.ports.some(({ protocol }) => protocol === 'udp');
    await step('network/withdraw', containerId, () => publisher.withdraw(sandbox, rows));
    for (const row of rows) {
      // A cable goes with the namespace; an interface of a parent keeps its address as long as the namespace lives.
      if (row.hostInterface !== '') reaper.add(row.hostInterface);
      else {
        await step('network/unplug', containerId, () =>
          links.unplug(this.#networkOf(row.networkId), this.#plan(row, []), sandbox.netnsPath),
        );
      }
      // Another container may live on in the namespace: it is kept in as long as the cable is there.
      if (egress.isRestricted(row)) await reaper.flush();
      await step('network/release', containerId, () => egress.release(row));
      if (hadDatagrams) await step('network/flows', containerId, () => this.#forgetFlows(row));
    }
    stepSync('network/namespace-remove', containerId, () => removeNetns(sandbox.netnsPath));
    stepSync('network/sandbox-delete', containerId, () => store.removeSandbox(containerId));
    names.changed(rows);
  }

  /** So that nothing of them reaches a later owner of the addresses. */
  async #forgetFlows(row: EndpointRow): Promise<void> {
    if (!isBridged(this.#networkOf(row.networkId).driver)) return;
    for (const address of addressesOf(row))
      await this.#parts.firewall.forgetConnections(parseAddress(address));
  }

  /** Gives the cables that are there, by name. */
  async #removeDead(live: ReadonlySet<string>): Promise<Map<string, Link>> {
    const { store, links, reaper } = this.#parts;
    for (const { containerId } of store.sandboxes()) {
      if (!live.has(containerId)) {
        await this.#serially(containerId, () => this.#detachQuietly(containerId));
      }
    }
    const known = new Set(
      store.sandboxes().flatMap(({ containerId }) => this.#rows(containerId).map((row) => row.hostInterface)),
    );
    const cables = new Map((await links.cables()).map((link) => [link.name, link]));
    for (const link of cables.values()) {
      if (known.has(link.name)) continue;
      if (await links.isOwn(link)) reaper.add(link.name);
    }
    await reaper.flush();
    return cables;
  }

  /** What cannot be mended is logged: the container runs on with what it has. */
  async #mend(sandbox: SandboxRow, cables: ReadonlyMap<string, Link>): Promise<void> {
    const { publisher, names } = this.#parts;
    const rows = this.#rows(sandbox.containerId);
    for (const row of rows) {
      await this.#logged(sandbox, 'cannot be connected again', () =>
        this.#mendEndpoint(sandbox, row, cables.get(row.hostInterface)),
      );
    }
    publisher.restore(sandbox, rows);
    if (sandbox.settling === true) {
      await this.#logged(sandbox, 'is not settled after a change', () => this.#settleAnew(sandbox, rows));
    }
    await this.#logged(sandbox, 'names cannot be resolved', () => names.refresh(sandbox, rows));
  }

  /** What an interrupted connect or disconnect has left half-way, in either direction. */
  async #settleAnew(sandbox: SandboxRow, rows: readonly EndpointRow[]): Promise<void> {
    const { links, publisher, egress } = this.#parts;
    await links.setDefaultRoutes(sandbox.netnsPath, defaultRoutes(rows, this.#networkOf));
    await publisher.withdraw(sandbox, rows);
    await publisher.publish(sandbox, rows);
    await egress.restrict(sandbox, rows, rows);
    this.#settled(sandbox);
  }

  async #mendEndpoint(sandbox: SandboxRow, row: EndpointRow, cable: Link | undefined): Promise<void> {
    const { links } = this.#parts;
    const network = this.#networkOf(row.networkId);
    const plan = this.#plan(row, this.#rows(row.containerId));
    if (cable !== undefined) await links.replug(network, cable);
    // With a carrier the other end is up: whole, or moved away by the container.
    if (cable?.carrier === true) return;
    const state = links.endpointState(network, plan, sandbox.netnsPath);
    // The other end of a cable is the container's to move away.
    if (state === 'whole' || (state === 'missing' && cable !== undefined)) return;
    await links.unplug(network, plan, sandbox.netnsPath);
    await links.plug(network, plan, sandbox.netnsPath);
  }

  #plan(row: EndpointRow, rows: readonly EndpointRow[]): EndpointPlan {
    const network = this.#networkOf(row.networkId);
    const routes: DefaultRoutes = defaultRoutes(rows, this.#networkOf);
    const own = (family: 'ipv4' | 'ipv6') =>
      routes[family]?.interface === row.containerInterface ? { [family]: routes[family].gateway } : {};
    const planned = (address: string) => ({ address, prefixLength: prefixLength(network, address) });
    return {
      endpointId: row.endpointId,
      hostInterface: row.hostInterface,
      containerInterface: row.containerInterface,
      macAddress: row.macAddress,
      ...(row.ipv4 === '' ? {} : { ipv4: planned(row.ipv4) }),
      ...(row.ipv6 === '' ? {} : { ipv6: planned(row.ipv6) }),
      linkLocal: row.linkLocal,
      defaultRoutes: { ...own('ipv4'), ...own('ipv6') },
      options: row.driverOptions,
    };
  }

  #describe(sandbox: SandboxRow): Sandbox {
    return describeSandbox(sandbox, this.#rows(sandbox.containerId), this.#networkOf);
  }

  #rows(containerId: string): readonly EndpointRow[] {
    return this.#parts.store.endpoints(containerId);
  }

  #require(containerId: string): SandboxRow {
    const sandbox = this.#parts.store.sandbox(containerId);
    if (sandbox === undefined) throw new NotFoundError(`container ${containerId} has no network namespace`);
    return sandbox;
  }

  #serially<T>(containerId: string, section: () => Promise<T>): Promise<T> {
    const entry = this.#mutexes.get(containerId) ?? { mutex: new Mutex(), users: 0 };
    this.#mutexes.set(containerId, entry);
    entry.users += 1;
    return entry.mutex.run(section).finally(() => {
      entry.users -= 1;
      if (entry.users === 0) this.#mutexes.delete(containerId);
    });
  }

  /** For clean-up after another error, which is the one to report. */
  async #detachQuietly(containerId: string): Promise<void> {
    await this.#logged({ containerId }, 'cannot be removed', () => this.#detach(containerId));
  }

  async #disconnectQuietly(sandbox: SandboxRow, row: EndpointRow): Promise<void> {
    await this.#logged(sandbox, 'cannot be disconnected', () => this.#disconnect(sandbox, row));
  }

  /** False where it failed. */
  async #logged(
    sandbox: Pick<SandboxRow, 'containerId'>,
    what: string,
    body: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await body();
      return true;
    } catch (error) {
      log.error({ container: sandbox.containerId, reason: errorMessage(error) }, `network: ${what}`);
      return false;
    }
  }
}
