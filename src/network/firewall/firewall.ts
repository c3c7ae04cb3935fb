/**
 * The nftables table of an engine: networks kept apart, published ports, containers kept in. No other table is read
 * or changed. What the rules say stands in ruleset.ts; networks, ports and restricted containers are elements of
 * sets, so that each change is one small transaction.
 *
 * This object remembers what the table must say. Where another program has removed the table or part of it (a
 * restart of nftables.service flushes everything), it is written whole again: at the next change, or within
 * WATCH_MS, when the number of the ruleset's generation is not what our own transactions make of it.
 */
import {
  ConflictError,
  errnoCode,
  errorMessage,
  NotFoundError,
  NotImplementedError,
} from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { IpAddress } from '../ip-address.ts';
import { formatSubnet, parseAddress, sameAddress } from '../ip-address.ts';
import type { NetlinkRequest } from '../netlink/connection.ts';
import { NETLINK_NETFILTER, NetlinkConnection } from '../netlink/connection.ts';
import { dumpElements, readGeneration, tableShape } from '../netlink/nft-dump.ts';
import { interfaceNameBytes } from '../netlink/nft-expressions.ts';
import { NftBatch } from '../netlink/nftables.ts';
import { Admissions, admittedElements } from './admissions.ts';
import { addGuard, guardTable, removeGuard } from './bridge-guard.ts';
import { isAdmittingSet, isRefusedSet, readBlocked, rememberedOf, withCounters } from './egress-log.ts';
import type { Placed } from './elements.ts';
import {
  bySet,
  gatewayMode,
  networkElements,
  placeKey,
  portElement,
  ruleAddresses,
  ruleElements,
} from './elements.ts';
import type { BlockedReport, EgressRule, FirewallNetwork, FirewallState, PublishedPort } from './model.ts';
import type { ForeignDrop } from './other-tables.ts';
import { foreignDrops } from './other-tables.ts';
import { addRules, BLOCKED_MS, NEIGHBOUR_DISCOVERY_TYPES, PORT_PROTOCOL_NUMBERS } from './ruleset.ts';
import { addSets, FAMILIES, familySets, SETS } from './tables.ts';
import { forgetAnswersFrom, forgetOpenedBy, forgetPublishedDatagrams } from './tracked-connections.ts';

const WATCH_MS = 3000;
/** What has less time left is not carried over to a new table. */
const EXPIRES_SOON_MS = 1000;

export interface FirewallOptions {
  table: string;
  /** Interfaces between which the host did not forward before the engine switched forwarding on: it still does not. */
  uplinks: { ipv4: readonly string[]; ipv6: readonly string[] };
  /** `strict`: published ports are open to the outside only where the host's own input policy lets packets in. */
  mode: 'default' | 'strict';
  /** How often others' changes are looked for. */
  watchMs?: number;
}

export class Firewall {
  readonly #connection = new NetlinkConnection(NETLINK_NETFILTER, null);
  #options: FirewallOptions;
  /** One change at a time, so that memory and kernel agree. */
  readonly #mutex = new Mutex();
  readonly #networks = new Map<string, FirewallNetwork>();
  readonly #ports = new Map<string, PublishedPort>();
  /** By container and by its interface. */
  readonly #rules = new Map<string, Map<string, EgressRule>>();
  readonly #admissions = new Admissions();
  /** The table of the bridge family is there. */
  #guarding = false;
  #generation = 0;
  #shape = '';
  #watch: NodeJS.Timeout | undefined;

  constructor(options: FirewallOptions) {
    this.#options = options;
  }

  /** Makes the table say exactly this, whatever it said before, in one transaction. */
  install(state: FirewallState): Promise<void> {
    return this.#mutex.run(async () => {
      this.#networks.clear();
      this.#ports.clear();
      this.#rules.clear();
      for (const network of state.networks) this.#networks.set(network.id, network);
      for (const port of state.ports) this.#ports.set(this.#portKey(port), port);
      for (const rule of state.restricted) this.#rulesOf(rule.containerId).set(rule.hostInterface, rule);
      // What an earlier process left of it goes too.
      this.#guarding ||= (await tableShape(this.#connection, this.#options.table, 'bridge')) !== '';
      await this.#writeAll();
      this.#watch ??= setInterval(() => void this.#look(), this.#options.watchMs ?? WATCH_MS).unref();
    });
  }

  /** Replaces the interfaces between which the host is not to forward. */
  keepApart(uplinks: FirewallOptions['uplinks']): Promise<void> {
    return this.#mutex.run(async () => {
      const remove = uplinkElements(this.#options.uplinks);
      this.#options = { ...this.#options, uplinks };
      await this.#change({ remove, add: uplinkElements(uplinks) });
    });
  }

  /** A network that is there is replaced. */
  addNetwork(network: FirewallNetwork): Promise<void> {
    return this.#mutex.run(async () => {
      const before = this.#networks.get(network.id);
      this.#networks.set(network.id, network);
      await this.#change({
        remove: before === undefined ? [] : networkElements(before),
        add: networkElements(network),
      });
    });
  }

  /** Idempotent. */
  removeNetwork(id: string): Promise<void> {
    return this.#mutex.run(async () => {
      const network = this.#networks.get(id);
      if (network === undefined) return;
      this.#networks.delete(id);
      await this.#change({ remove: networkElements(network), add: [] });
    });
  }

  /**
   * All or none; those that are published already stay. Throws Conflict where a port leads to another container: this
   * engine gave it away twice.
   */
  publish(ports: readonly PublishedPort[]): Promise<void> {
    return this.#mutex.run(async () => {
      for (const port of ports) {
        const present = this.#ports.get(this.#portKey(port));
        if (present !== undefined && !sameTarget(present, port)) {
          const where = `${port.hostIp === '' ? '*' : port.hostIp}:${port.hostPort}/${port.protocol}`;
          throw new ConflictError(`port ${where} is published for another container already`);
        }
      }
      const added = ports.filter((port) => !this.#ports.has(this.#portKey(port)));
      for (const port of added) this.#ports.set(this.#portKey(port), port);
      try {
        await this.#change({ remove: [], add: added.map((port) => this.#portElement(port)) });
      } catch (error) {
        for (const port of added) this.#ports.delete(this.#portKey(port));
        throw error;
      }
      await this.#tryRequest(forgetPublishedDatagrams(added));
    });
  }

  /** Those that are not published are no error. */
  withdraw(ports: readonly PublishedPort[]): Promise<void> {
    return this.#mutex.run(async () => {
      const known = new Map<string, PublishedPort>();
      for (const port of ports) {
        const present = this.#ports.get(this.#portKey(port));
        if (present !== undefined && sameTarget(present, port)) known.set(this.#portKey(port), present);
      }
      for (const key of known.keys()) this.#ports.delete(key);
      const removed = [...known.values()];
      await this.#change({ remove: removed.map((port) => this.#portElement(port)), add: [] });
      await this.#tryRequest(forgetPublishedDatagrams(removed));
    });
  }

  /** Forgets the tracked connections to a container's address, so that nothing is sent on to a later owner of it. */
  async forgetConnections(address: IpAddress): Promise<void> {
    await this.#tryRequest(forgetAnswersFrom(address));
  }

  /**
   * What the container, or an earlier owner of its addresses, has opened before is judged anew, as far as the kernel can
   * forget it (tracked-connections.ts). One rule for each interface of a container; again for the same interface
   * replaces it, and what another policy admitted ends. Throws where the kernel has no nftables for bridges.
   */
  restrict(rule: EgressRule): Promise<void> {
    return this.#mutex.run(async () => {
      const rules = this.#rulesOf(rule.containerId);
      const before = rules.get(rule.hostInterface);
      rules.set(rule.hostInterface, rule);
      try {
        await this.#changeRules(before === undefined ? [] : [before], [rule]);
      } catch (error) {
        if (before === undefined) rules.delete(rule.hostInterface);
        else rules.set(rule.hostInterface, before);
        if (rules.size === 0) this.#rules.delete(rule.containerId);
        throw error;
      }
      const gone = (before?.addresses ?? []).filter(
        (address) => !rule.addresses.some((kept) => sameAddress(kept, address)),
      );
      await this.#forgetRemembered(gone);
      if (before !== undefined && samePolicy(before, rule)) return;
      if (before !== undefined) {
        this.#admissions.forget(rule.containerId);
        await this.#forgetRemembered(ruleAddresses(rule), isAdmittingSet);
      }
      for (const address of ruleAddresses(rule)) await this.#tryRequest(forgetOpenedBy(address));
    });
  }

  /** All rules of a container, or that of one interface. Idempotent. */
  unrestrict(containerId: string, hostInterface?: string): Promise<void> {
    return this.#mutex.run(async () => {
      const rules = this.#rules.get(containerId);
      if (rules === undefined) return;
      const removed = [...rules.values()].filter(
        (rule) => hostInterface === undefined || rule.hostInterface === hostInterface,
      );
      for (const rule of removed) rules.delete(rule.hostInterface);
      if (rules.size === 0) {
        this.#rules.delete(containerId);
        this.#admissions.forget(containerId);
      }
      await this.#changeRules(removed, []);
      await this.#forgetRemembered(removed.flatMap(ruleAddresses));
    });
  }

  /**
   * Lets a restricted container open connections to addresses for some time, and while it goes on using them. Never
   * shortens what was given before. Throws NotFound where the container is not restricted.
   */
  admit(containerId: string, addresses: readonly IpAddress[], ttlSec: number): Promise<void> {
    return this.#mutex.run(async () => {
      const rules = [...(this.#rules.get(containerId)?.values() ?? [])];
      if (rules.length === 0) throw new NotFoundError(`container ${containerId} is not restricted`);
      const wanted = this.#admissions.grant(containerId, addresses, ttlSec);
      const elements = wanted.flatMap((address) => admittedElements(rules, address, ttlSec * 1000));
      // Kernels before 6.12 keep the time of an element that is there: it goes away and comes back, all in one.
      try {
        await this.#change({ first: elements, remove: elements, add: elements });
      } catch (error) {
        // The next answer for these names is to be told again.
        this.#admissions.forget(containerId);
        throw error;
      }
    });
  }

  /** Since the container was restricted. */
  async blocked(containerId: string): Promise<BlockedReport> {
    const rules = [...(this.#rules.get(containerId)?.values() ?? [])];
    if (rules.length === 0) return { packets: 0, recent: [] };
    return readBlocked(this.#connection, this.#options.table, rules.flatMap(ruleAddresses), BLOCKED_MS);
  }

  /** What tables of others drop of our networks' traffic, as far as can be told. */
  foreignDrops(): Promise<ForeignDrop[]> {
    const open = [...this.#networks.values()].filter(({ internal }) => !internal);
    return foreignDrops(this.#connection, {
      bridges: open.map(({ bridge }) => bridge),
      ipv6: open.some(({ subnets }) => subnets.some(({ family }) => family === 6)),
    });
  }

  /** Removes the tables. */
  uninstall(): Promise<void> {
    return this.#mutex.run(async () => {
      this.#stopWatching();
      const { table } = this.#options;
      const batch = new NftBatch(table).addTable().deleteTable();
      if (this.#guarding) batch.join(new NftBatch(table, 'bridge').addTable().deleteTable());
      await this.#commit(batch);
    });
  }

  async close(): Promise<void> {
    this.#stopWatching();
    await this.#mutex.run(() => this.#connection.close());
  }

  #stopWatching(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  #rulesOf(containerId: string): Map<string, EgressRule> {
    const rules = this.#rules.get(containerId) ?? new Map<string, EgressRule>();
    this.#rules.set(containerId, rules);
    return rules;
  }

  #allRules(): EgressRule[] {
    return [...this.#rules.values()].flatMap((rules) => [...rules.values()]);
  }

  #portElement(port: PublishedPort): Placed {
    const network = this.#networks.get(port.networkId);
    const mode = network === undefined ? 'nat' : gatewayMode(network, port.containerAddress.family);
    return portElement(port, mode, port.hostIp === '' ? undefined : parseAddress(port.hostIp));
  }

  #portKey(port: PublishedPort): string {
    return placeKey(this.#portElement(port));
  }

  async #changeRules(removed: readonly EgressRule[], added: readonly EgressRule[]): Promise<void> {
    if (added.length > 0 && !this.#guarding) {
      try {
        await this.#writeAll();
      } catch (error) {
        throw new NotImplementedError('egress rules need nftables for bridges in the kernel', error);
      }
      return;
    }
    const guard = new NftBatch(this.#options.table, 'bridge');
    // With nobody left to guard, frames of other bridges do not have to pass it.
    const ended = this.#guarding && this.#allRules().length === 0;
    if (ended) guard.addTable().deleteTable();
    else for (const rule of removed) removeGuard(guard, rule);
    for (const rule of added) addGuard(guard, rule);
    const [before, after] = [removed.flatMap(ruleElements), added.flatMap(ruleElements)];
    // What stays keeps its counter. Containers of different networks may have one link-local address.
    const kept = this.#allRules().flatMap(ruleElements);
    await this.#change({ remove: withoutThose(before, kept), add: withoutThose(after, before), guard });
    if (!ended) return;
    this.#guarding = false;
    this.#shape = await this.#readShape();
  }

  /** Removes, then adds, in one transaction. Repairs the table where it is not what it should be. */
  async #change(change: {
    remove: readonly Placed[];
    add: readonly Placed[];
    guard?: NftBatch;
    /** Added before anything is removed. */
    first?: readonly Placed[];
  }): Promise<void> {
    const batch = new NftBatch(this.#options.table);
    for (const [set, elements] of bySet(change.first ?? [])) batch.addElements(set, elements);
    for (const [set, elements] of bySet(change.remove)) batch.deleteElements(set, elements);
    for (const [set, elements] of bySet(change.add)) batch.addElements(set, elements);
    if (change.guard !== undefined) batch.join(change.guard);
    if (batch.isEmpty) return;
    try {
      await this.#commit(batch);
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      log.warn('firewall: another program changed the nftables tables; writing them anew');
      await this.#writeAll();
    }
  }

  async #commit(batch: NftBatch): Promise<void> {
    await this.#connection.request(batch.finish());
    this.#generation = (this.#generation + 1) >>> 0;
  }

  async #writeAll(): Promise<void> {
    const { table, mode } = this.#options;
    const rules = this.#allRules();
    const sources = rules.flatMap(ruleAddresses);
    const kept = await rememberedOf(this.#connection, table, sources);
    const batch = new NftBatch(table).addTable().deleteTable().addTable();
    addSets(batch);
    addRules(batch, mode);
    const elements = bySet([
      ...Object.values(PORT_PROTOCOL_NUMBERS).map((n) => byteElement(SETS.portProtocols, n)),
      ...NEIGHBOUR_DISCOVERY_TYPES.map((n) => byteElement(SETS.neighbourDiscovery, n)),
      ...uplinkElements(this.#options.uplinks),
      ...[...this.#networks.values()].flatMap(networkElements),
      ...[...this.#ports.values()].map((port) => this.#portElement(port)),
      ...withCounters(rules.flatMap(ruleElements), kept),
      ...this.#stillAdmitted(kept),
    ]);
    for (const [set, list] of elements) batch.addElements(set, list);
    if (rules.length > 0) batch.join(guardTable(table, rules));
    else if (this.#guarding) batch.join(new NftBatch(table, 'bridge').addTable().deleteTable());
    this.#generation = await readGeneration(this.#connection);
    await this.#commit(batch);
    this.#guarding = rules.length > 0;
    this.#shape = await this.#readShape();
  }

  /** What was admitted and is still valid: as the table has it, or where the table was gone, as we remember it. */
  #stillAdmitted(kept: readonly Placed[]): Placed[] {
    const inTable = kept.filter(
      ({ set, element }) => !isRefusedSet(set) && (element.expiresInMs ?? 0) >= EXPIRES_SOON_MS,
    );
    const known = new Set(inTable.map(placeKey));
    const remembered = this.#admissions.elements((containerId) => [
      ...(this.#rules.get(containerId)?.values() ?? []),
    ]);
    return [
      ...inTable,
      ...remembered.filter(
        (placed) => (placed.element.timeoutMs ?? 0) >= EXPIRES_SOON_MS && !known.has(placeKey(placed)),
      ),
    ];
  }

  /** Nothing that was remembered of an address may hold for its next owner. */
  async #forgetRemembered(
    sources: readonly IpAddress[],
    isMeant: (set: string) => boolean = () => true,
  ): Promise<void> {
    if (sources.length === 0) return;
    const remembered = await rememberedOf(this.#connection, this.#options.table, sources);
    for (const [set, elements] of bySet(remembered.filter((placed) => isMeant(placed.set)))) {
      // One by one: an element that times out in between would keep the others.
      for (const element of elements) {
        try {
          await this.#commit(new NftBatch(this.#options.table).deleteElements(set, [element]));
        } catch (error) {
          if (errnoCode(error) !== 'ENOENT') throw error;
        }
      }
    }
  }

  /** For what some kernels refuse. */
  async #tryRequest(request: NetlinkRequest | undefined): Promise<void> {
    if (request === undefined) return;
    try {
      await this.#connection.request(request);
    } catch (error) {
      log.debug({ reason: errorMessage(error) }, 'firewall: tracked connections stay until they time out');
    }
  }

  async #readShape(): Promise<string> {
    const { table } = this.#options;
    const guard = this.#guarding ? await tableShape(this.#connection, table, 'bridge') : '';
    return `${await tableShape(this.#connection, table)} ${guard}`;
  }

  /** Whether others changed anything, and what follows from it. */
  #look(): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#watch === undefined) return;
      try {
        const generation = await readGeneration(this.#connection);
        if (generation === this.#generation) return;
        this.#generation = generation;
        if ((await this.#readShape()) !== this.#shape) {
          log.warn('firewall: another program changed the nftables tables; writing them anew');
          await this.#writeAll();
        } else if (this.#options.mode === 'strict') {
          await this.#forgetVisitors();
        }
      } catch (error) {
        log.error({ reason: errorMessage(error) }, 'firewall: cannot be watched');
      }
    });
  }

  /** The host's policy may be another one now. */
  async #forgetVisitors(): Promise<void> {
    const { table } = this.#options;
    const batch = new NftBatch(table);
    for (const family of FAMILIES) {
      const { visitors } = familySets(family);
      // To empty what is empty is no transaction and makes no generation: it would be looked for in vain.
      if ((await dumpElements(this.#connection, table, visitors)).length > 0) batch.flushSet(visitors);
    }
    if (!batch.isEmpty) await this.#commit(batch);
  }
}

function sameTarget(a: PublishedPort, b: PublishedPort): boolean {
  return sameAddress(a.containerAddress, b.containerAddress) && a.containerPort === b.containerPort;
}

function samePolicy(a: EgressRule, b: EgressRule): boolean {
  const text = ({ subnets, names }: EgressRule): string =>
    [...subnets.map(formatSubnet), ...names].sort().join();
  return text(a) === text(b);
}

function withoutThose(placed: readonly Placed[], others: readonly Placed[]): Placed[] {
  const key = (each: Placed): string =>
    `${placeKey(each)} ${Buffer.from(each.element.keyEnd ?? []).toString('hex')}`;
  const known = new Set(others.map(key));
  return placed.filter((each) => !known.has(key(each)));
}

function uplinkElements(uplinks: FirewallOptions['uplinks']): Placed[] {
  return FAMILIES.flatMap((family) =>
    (family === 4 ? uplinks.ipv4 : uplinks.ipv6).map((name) => ({
      set: familySets(family).uplinks,
      element: { key: interfaceNameBytes(name) },
    })),
  );
}

function byteElement(set: string, value: number): Placed {
  return { set, element: { key: Uint8Array.of(value) } };
}
