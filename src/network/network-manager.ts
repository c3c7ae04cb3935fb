/**
 * The engine's networking as one thing (`Networking` in model.ts): puts its parts together, and asks each for what it
 * knows. Networks are network-catalog.ts's, containers sandboxes.ts's; the kernel's side stands in links/, firewall/,
 * dns/, ports.ts and netns-pool.ts.
 */
import { join } from 'node:path';
import type {
  EndpointSettings,
  Network,
  NetworkCreateRequest,
  NetworkCreateResponse,
} from '../api/networks.ts';
import type { Database } from '../base/database.ts';
import { ConflictError, InvalidParameterError } from '../base/errors.ts';
import type { DefaultBridgeOptions } from './default-bridge.ts';
import { ensurePredefined, settleDefaultBridge } from './default-bridge.ts';
import { describeContainer, describeNetwork } from './describe-network.ts';
import { DnsServer } from './dns/dns-server.ts';
import { EgressControl } from './egress-control.ts';
import { judgeEndpoint } from './endpoint-request.ts';
import { Firewall } from './firewall/firewall.ts';
import type { ForeignDrop } from './firewall/other-tables.ts';
import { firewallNetwork } from './firewall-state.ts';
import { apart, enableForwarding } from './forwarding.ts';
import { parsePools } from './ipam/address-pools.ts';
import { SubnetChoice } from './ipam/subnet-choice.ts';
import { LinkReaper } from './link-reaper.ts';
import { NetworkLinks } from './links/network-links.ts';
import { innerInterfaces } from './links/parent.ts';
import type {
  AttachRequest,
  BoundPort,
  EgressReport,
  Networking,
  NetworkRecord,
  PortMapping,
  PortsChange,
  Sandbox,
} from './model.ts';
import { NameService } from './name-service.ts';
import { NetnsPool } from './netns-pool.ts';
import { NetworkCatalog } from './network-catalog.ts';
import { ContainerNames } from './network-names.ts';
import { NetworkStore } from './network-store.ts';
import { isLoopback } from './ports/port-rules.ts';
import { Ports, validatePorts } from './ports/ports.ts';
import { PortPublisher, portTarget, translations } from './published-ports.ts';
import { Sandboxes } from './sandboxes.ts';

export { NETWORK_MIGRATIONS } from './network-store.ts';

export interface NetworkManagerOptions extends DefaultBridgeOptions {
  /** Opened with NETWORK_MIGRATIONS. */
  database: Database;
  /**
   * '' for the system daemon: bridge `mydock0`, nftables table `mydock`. Else one to eight of a-z and 0-9, part of
   * both names, so that several daemons live side by side.
   */
  instance: string;
  /** Namespaces are bound below its `netns/`. */
  execRoot: string;
  /** Empty or absent: Docker's. */
  defaultAddressPools?: readonly { base: string; size: number }[];
  /** `strict`: other hosts reach published ports only as far as the host's input rules let them. */
  firewall?: 'default' | 'strict';
  /** How many network namespaces are made ahead. Default 2. */
  netnsPoolSize?: number;
}

interface Parts {
  store: NetworkStore;
  links: NetworkLinks;
  firewall: Firewall;
  pool: NetnsPool;
  subnets: SubnetChoice;
}

export class NetworkManager implements Networking {
  readonly #store: NetworkStore;
  readonly #links: NetworkLinks;
  readonly #firewall: Firewall;
  readonly #pool: NetnsPool;
  readonly #ports = new Ports();
  readonly #dns: DnsServer;
  readonly #reaper: LinkReaper;
  readonly #catalog: NetworkCatalog;
  readonly #egress: EgressControl;
  readonly #sandboxes: Sandboxes;

  private constructor(parts: Parts) {
    const { store, links, firewall, pool, subnets } = parts;
    this.#store = store;
    this.#links = links;
    this.#firewall = firewall;
    this.#pool = pool;
    this.#reaper = new LinkReaper((name) => links.removeLink(name));
    this.#catalog = new NetworkCatalog({
      store,
      links,
      firewall,
      subnets,
      forwardIPv6: () => this.#forwardIPv6(),
    });
    const networkOf = (id: string): NetworkRecord => this.#catalog.byId(id);
    const names = new ContainerNames(store);
    this.#egress = new EgressControl(store, firewall, networkOf);
    this.#dns = new DnsServer({
      names,
      onAnswer: (containerId, _name, addresses) => this.#egress.admit(containerId, addresses),
    });
    this.#sandboxes = new Sandboxes({
      store,
      catalog: this.#catalog,
      links,
      firewall,
      pool,
      reaper: this.#reaper,
      publisher: new PortPublisher({ store, ports: this.#ports, firewall, networkOf }),
      egress: this.#egress,
      names: new NameService({ store, names, dns: this.#dns, egress: this.#egress, networkOf }),
    });
  }

  /**
   * Makes or repairs bridges, forwarding and rules. Running containers of an earlier daemon keep their network; call
   * `reconcile` before the first `attach`. Idempotent.
   */
  static async open(options: NetworkManagerOptions): Promise<NetworkManager> {
    const { instance } = options;
    if (!/^[a-z0-9]{0,8}$/.test(instance)) {
      throw new InvalidParameterError(`invalid instance "${instance}": want at most eight of a-z and 0-9`);
    }
    const bridge = instance === '' ? 'mydock0' : `mydock-${instance}`;
    const table = instance === '' ? 'mydock' : `mydock_${instance}`;
    const pools = parsePools(options.defaultAddressPools ?? []);
    const store = new NetworkStore(options.database);
    ensurePredefined(store);
    const links = await NetworkLinks.open({ instance });
    const subnets = new SubnetChoice(store, links, pools, bridge);
    const settled = await settleDefaultBridge(store, bridge, options, subnets);
    const own = store.networks().flatMap(({ record }) => innerInterfaces(record));
    const wantsIPv6 = store.networks().some(({ record }) => record.ipv6 && record.driver === 'bridge');
    const uplinks = {
      ipv4: enableForwarding(store, 4, own),
      ipv6: wantsIPv6 ? enableForwarding(store, 6, own) : apart(store, 6),
    };
    const firewall = new Firewall({ table, uplinks, mode: options.firewall ?? 'default' });
    const pool = new NetnsPool(join(options.execRoot, 'netns'), options.netnsPoolSize ?? 2);
    const manager = new NetworkManager({ store, links, firewall, pool, subnets });
    try {
      await manager.#catalog.ensure(settled);
      await manager.#catalog.restore();
      pool.sweep(new Set(store.sandboxes().map(({ netnsPath }) => netnsPath)));
      await manager.#installFirewall();
    } catch (error) {
      await manager.close();
      throw error;
    }
    return manager;
  }

  create(request: NetworkCreateRequest): Promise<NetworkCreateResponse> {
    return this.#catalog.create(request);
  }

  find(reference: string): NetworkRecord {
    return this.#catalog.find(reference);
  }

  list(): Network[] {
    return this.#catalog.list().map(describeNetwork);
  }

  inspect(reference: string): Network {
    const record = this.#catalog.find(reference);
    const network = describeNetwork(record);
    for (const row of this.#store.endpointsOf(record.id)) {
      const sandbox = this.#store.sandbox(row.containerId);
      if (sandbox !== undefined)
        network.Containers[row.containerId] = describeContainer(record, sandbox, row);
    }
    return network;
  }

  async remove(reference: string): Promise<void> {
    await this.#catalog.remove(reference);
  }

  validatePorts(ports: readonly PortMapping[]): void {
    validatePorts(ports);
  }

  validateEndpoint(network: string, settings: EndpointSettings): void {
    judgeEndpoint(this.#catalog.find(network), settings);
  }

  attach(request: AttachRequest, begun?: (sandbox: Sandbox) => void): Promise<Sandbox> {
    validatePorts(request.ports);
    return this.#sandboxes.attach(request, begun);
  }

  detach(containerId: string): Promise<void> {
    return this.#sandboxes.detach(containerId);
  }

  connect(containerId: string, network: string, settings: EndpointSettings): Promise<Sandbox> {
    return this.#sandboxes.connect(containerId, network, settings);
  }

  disconnect(containerId: string, network: string): Promise<Sandbox> {
    return this.#sandboxes.disconnect(containerId, network);
  }

  changePorts(containerId: string, change: PortsChange): Promise<Sandbox> {
    validatePorts(change.add);
    return this.#sandboxes.changePorts(containerId, change);
  }

  rename(containerId: string, name: string): void {
    this.#sandboxes.rename(containerId, name);
  }

  async reconcile(live: ReadonlySet<string>): Promise<Map<string, Sandbox>> {
    const sandboxes = await this.#sandboxes.reconcile(live);
    // Not before: the kernel makes namespaces and answers the questions above one at a time.
    this.#pool.refill();
    return sandboxes;
  }

  egressReport(containerId: string): Promise<EgressReport | undefined> {
    return this.#egress.report(containerId, this.#dns);
  }

  isOpenToWorld(port: BoundPort): boolean {
    return !isLoopback(port.hostIp);
  }

  /** What tables of others drop of containers' traffic, as far as can be told. Nothing of theirs is changed. */
  foreignDrops(): Promise<ForeignDrop[]> {
    return this.#firewall.foreignDrops();
  }

  /** Sockets of connections to published ports that this process carries. */
  get carried(): number {
    return this.#ports.carried;
  }

  /**
   * Lets go of sockets and of namespaces made ahead. Bridges, rules and containers' networks stay and work. With
   * `forSuccessor`, connections that this process carries go on to their own end, and what was made ahead is left.
   */
  async close(forSuccessor = false): Promise<void> {
    this.#ports.close(forSuccessor);
    await this.#dns.shutdown();
    await this.#pool.close(forSuccessor);
    await this.#reaper.flush();
    await this.#links.close();
    await this.#firewall.close();
  }

  /**
   * Removes bridges and rules, for an engine that will not be back, and closes. Throws Conflict where containers are
   * attached.
   */
  async destroy(): Promise<void> {
    const attached = this.#store.sandboxes().length;
    if (attached > 0) throw new ConflictError(`networks: ${attached} containers are attached`);
    await this.#firewall.uninstall();
    for (const record of this.#catalog.list()) {
      if (record.driver !== 'host' && record.driver !== 'null' && !record.configOnly)
        await this.#links.remove(record);
    }
    await this.close();
  }

  async #forwardIPv6(): Promise<void> {
    const own = this.#store.networks().flatMap(({ record }) => innerInterfaces(record));
    const before = apart(this.#store, 6);
    const uplinks = enableForwarding(this.#store, 6, own);
    if (uplinks.join() === before.join()) return;
    await this.#firewall.keepApart({ ipv4: apart(this.#store, 4), ipv6: uplinks });
  }

  #installFirewall(): Promise<void> {
    const networkOf = (id: string): NetworkRecord => this.#catalog.byId(id);
    return this.#firewall.install({
      networks: this.#catalog.list().flatMap((record) => firewallNetwork(record) ?? []),
      ports: this.#store
        .sandboxes()
        .flatMap(({ containerId, ports }) =>
          translations(ports, portTarget(this.#store.endpoints(containerId), networkOf)),
        ),
      restricted: this.#egress.rules(),
    });
  }
}
