/**
 * The engine's networking: the predefined networks bridge, host and none, and each container's part in them. This
 * file decides the order of things and what is undone when one fails; the kernel's side stands in links.ts,
 * firewall.ts, ports.ts and netns-pool.ts.
 *
 * A container's namespace and endpoint are written to the database before they are made, so that detach and
 * reconcile find whatever an interrupted attach left behind.
 */
import { join } from 'node:path';
import type { Network } from '../api/networks.ts';
import type { Database } from '../base/database.ts';
import {
  ConflictError,
  errnoCode,
  errorMessage,
  InternalError,
  InvalidParameterError,
  NotFoundError,
} from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Subnet } from './address.ts';
import { formatIPv4, formatMac, macForAddress, parseIPv4, parseMac } from './address.ts';
import { settleSubnet } from './bridge-subnet.ts';
import { Firewall } from './firewall.ts';
import { enableForwarding } from './forwarding.ts';
import { LinkReaper } from './link-reaper.ts';
import { Links } from './links.ts';
import { NetnsPool, removeNetns } from './netns-pool.ts';
import type { EndpointRow } from './network-store.ts';
import { NetworkStore, PREDEFINED_NAMES, randomId } from './network-store.ts';
import type { BoundPort, PortMapping } from './ports.ts';
import { Ports, translatedPorts, validatePorts } from './ports.ts';
import { describeNetwork } from './predefined.ts';

export { NETWORK_MIGRATIONS } from './network-store.ts';
export type { BoundPort, PortMapping } from './ports.ts';

/** A container's part in the bridge network. IPv6 fields are empty: the default bridge has none. */
export interface Endpoint {
  networkId: string;
  networkName: string;
  endpointId: string;
  ipAddress: string;
  prefixLength: number;
  gateway: string;
  macAddress: string;
  ipv6Address: string;
  ipv6PrefixLength: number;
  ipv6Gateway: string;
  ports: BoundPort[];
  netnsPath: string;
  hostInterface: string;
}

export interface NetworkManagerOptions {
  /** Opened with NETWORK_MIGRATIONS. */
  database: Database;
  /**
   * '' for the system daemon: bridge `mydock0`, nftables table `mydock`. Else one to eight of a-z and 0-9, part of
   * both names, so that several daemons live side by side.
   */
  instance: string;
  /** Namespaces are bound below its `netns/`. */
  execRoot: string;
  /** Address and subnet of the bridge, `10.9.0.1/24`. Default: the first of Docker's pools that is free, kept. */
  bip?: string | undefined;
  /** Of the bridge and of containers' interfaces. Default 1500. */
  mtu?: number;
  /** How many network namespaces are made ahead. Default 2. */
  netnsPoolSize?: number;
}

export interface AttachRequest {
  containerId: string;
  /** For error messages and inspect. Default: the start of the ID. */
  containerName?: string;
  hostname?: string;
  ports: readonly PortMapping[];
  network: 'bridge';
  /** Default: the next free one. */
  ipAddress?: string;
  /** Default: derived from the address. */
  macAddress?: string;
}

interface Bridge {
  name: string;
  subnet: Subnet;
  gateway: number;
  mtu: number;
}

export class NetworkManager {
  readonly #store: NetworkStore;
  readonly #bridge: Bridge;
  readonly #links: Links;
  readonly #firewall: Firewall;
  readonly #pool: NetnsPool;
  readonly #ports = new Ports();
  readonly #reaper: LinkReaper;

  private constructor(
    store: NetworkStore,
    bridge: Bridge,
    links: Links,
    firewall: Firewall,
    pool: NetnsPool,
  ) {
    this.#store = store;
    this.#bridge = bridge;
    this.#links = links;
    this.#firewall = firewall;
    this.#pool = pool;
    this.#reaper = new LinkReaper((name) => links.unplug(name));
  }

  /**
   * Makes or repairs bridge, forwarding and rules. Running containers of an earlier daemon keep their network; call
   * `reconcile` before the first `attach`. Idempotent.
   */
  static async open(options: NetworkManagerOptions): Promise<NetworkManager> {
    if (!/^[a-z0-9]{0,8}$/.test(options.instance)) {
      throw new InvalidParameterError(
        `invalid instance "${options.instance}": want at most eight of a-z and 0-9`,
      );
    }
    const name = options.instance === '' ? 'mydock0' : `mydock-${options.instance}`;
    const table = options.instance === '' ? 'mydock' : `mydock_${options.instance}`;
    const store = new NetworkStore(options.database);
    const { subnet, gateway } = await settleSubnet(store, name, options.bip);
    const bridge = { name, subnet, gateway, mtu: options.mtu ?? 1500 };
    const uplinks = await enableForwarding(store, name);
    const links = await Links.open({ name, address: gateway, subnet, mtu: bridge.mtu });
    const firewall = new Firewall({ table, bridge: name, subnet, uplinks });
    const pool = new NetnsPool(join(options.execRoot, 'netns'), options.netnsPoolSize ?? 2);
    const manager = new NetworkManager(store, bridge, links, firewall, pool);
    try {
      pool.sweep(new Set(store.sandboxes().values()));
      await manager.#installFirewall();
    } catch (error) {
      await manager.close();
      throw error;
    }
    pool.refill();
    return manager;
  }

  /** Throws InvalidParameter on ports that no host can publish. Whether they are free shows at `attach`. */
  validatePorts(ports: readonly PortMapping[]): void {
    validatePorts(ports);
  }

  /**
   * A namespace with an interface on the bridge and published ports: all of it or nothing. Throws Internal with
   * Docker's text where a port is taken, Conflict where the container is attached already.
   */
  async attach(request: AttachRequest): Promise<Endpoint> {
    const { containerId } = request;
    validatePorts(request.ports);
    // Before anything is made: the clean-up after a failure removes all that the container has.
    if (this.#store.sandbox(containerId) !== undefined || this.#store.endpoint(containerId) !== undefined) {
      throw new ConflictError(`container ${containerId} is already attached to a network`);
    }
    const wanted = request.ipAddress ? parseIPv4(request.ipAddress) : undefined;
    const macAddress = request.macAddress ? formatMac(parseMac(request.macAddress)) : undefined;
    try {
      const netnsPath = await this.createBareNetns(containerId);
      const endpointId = randomId();
      const row = this.#store.addEndpoint(
        {
          containerId,
          endpointId,
          containerName: request.containerName ?? containerId.slice(0, 12),
          hostInterface: `veth${endpointId.slice(0, 7)}`,
        },
        {
          subnet: this.#bridge.subnet,
          gateway: this.#bridge.gateway,
          ...(wanted === undefined ? {} : { wanted }),
          mac: (address) => macAddress ?? macForAddress(address),
        },
      );
      await this.#links.plug({ ...row, netnsPath });
      await this.#publish(row, request.ports);
      return this.#endpoint(row, netnsPath);
    } catch (error) {
      await this.#detachQuietly(containerId);
      throw error;
    }
  }

  /**
   * Removes everything of a container: ports, address, namespace, and within a second the interface. Idempotent.
   */
  async detach(containerId: string): Promise<void> {
    const row = this.#store.endpoint(containerId);
    if (row !== undefined) {
      this.#ports.release(row.ports);
      await this.#firewall.withdraw(translatedPorts(row.ports, row.address));
      this.#reaper.add(row.hostInterface);
      if (row.ports.some(({ protocol }) => protocol === 'udp'))
        await this.#firewall.forgetConnections(row.address);
      this.#store.removeEndpoint(containerId);
    }
    await this.removeNetns(containerId);
  }

  /**
   * After a start of the daemon: keeps the containers in `live` connected (interface back on the bridge, ports held
   * again), removes whatever is left of all others. Returns the endpoints of those that are attached.
   */
  async reconcile(live: ReadonlySet<string>): Promise<Map<string, Endpoint>> {
    await this.#removeDead(live);
    const rows = this.#store.endpoints();
    const cables = await this.#links.cables();
    const endpoints = new Map<string, Endpoint>();
    for (const row of rows) {
      const netnsPath = this.#store.sandbox(row.containerId) ?? '';
      const link = cables.find(({ name }) => name === row.hostInterface);
      try {
        await (link === undefined ? this.#links.plug({ ...row, netnsPath }) : this.#links.replug(link));
      } catch (error) {
        log.error(
          { container: row.containerId, reason: errorMessage(error) },
          'network: cannot be connected again',
        );
      }
      this.#ports.release(row.ports);
      this.#ports.restore(row.ports, row.address);
      endpoints.set(row.containerId, this.#endpoint(row, netnsPath));
    }
    return endpoints;
  }

  /** Everything in database and kernel that belongs to no container of `live`. */
  async #removeDead(live: ReadonlySet<string>): Promise<void> {
    const containers = [
      ...this.#store.sandboxes().keys(),
      ...this.#store.endpoints().map((row) => row.containerId),
    ];
    for (const containerId of new Set(containers)) {
      if (!live.has(containerId)) await this.#detachQuietly(containerId);
    }
    const known = this.#store.endpoints().map((row) => row.hostInterface);
    for (const link of await this.#links.cables()) {
      if (this.#links.isPort(link) && !known.includes(link.name)) this.#reaper.add(link.name);
    }
    await this.#reaper.flush();
  }

  /** A namespace with only its loopback, for `--network none`. Throws Conflict where the container has one. */
  async createBareNetns(containerId: string): Promise<string> {
    if (this.#store.sandbox(containerId) !== undefined) {
      throw new ConflictError(`container ${containerId} already has a network namespace`);
    }
    const path = await this.#pool.take();
    try {
      this.#store.addSandbox(containerId, path);
    } catch (error) {
      removeNetns(path);
      throw error;
    }
    this.#pool.refill();
    return path;
  }

  /** Idempotent. The namespace ends with its last process. */
  async removeNetns(containerId: string): Promise<void> {
    const path = this.#store.sandbox(containerId);
    if (path === undefined) return;
    removeNetns(path);
    this.#store.removeSandbox(containerId);
  }

  /** The predefined networks as `GET /networks` lists them. */
  list(): Network[] {
    return PREDEFINED_NAMES.map((name) =>
      describeNetwork(this.#store.predefined(name), this.#bridge.name, this.#bridge.mtu),
    );
  }

  /** One network by name, ID or unique start of an ID, with its containers. Throws NotFound. */
  inspect(nameOrId: string): Network {
    const networks = this.list();
    const network =
      networks.find(({ Name, Id }) => Name === nameOrId || Id === nameOrId) ??
      networks.find(({ Id }) => nameOrId !== '' && Id.startsWith(nameOrId));
    if (network === undefined) throw new NotFoundError(`network ${nameOrId} not found`);
    if (network.Name !== 'bridge') return network;
    const { prefixLength } = this.#bridge.subnet;
    for (const row of this.#store.endpoints()) {
      network.Containers[row.containerId] = {
        Name: row.containerName,
        EndpointID: row.endpointId,
        MacAddress: row.macAddress,
        IPv4Address: `${formatIPv4(row.address)}/${prefixLength}`,
        IPv6Address: '',
      };
    }
    return network;
  }

  /** Lets go of sockets and of namespaces made ahead. Bridge, rules and containers' networks stay and work. */
  async close(): Promise<void> {
    this.#ports.close();
    await this.#pool.close();
    await this.#reaper.flush();
    await this.#links.close();
    await this.#firewall.close();
  }

  /**
   * Removes bridge and rules, for an engine that will not be back, and closes. Throws Conflict where containers are
   * attached.
   */
  async destroy(): Promise<void> {
    const attached = this.#store.endpoints().length;
    if (attached > 0) throw new ConflictError(`network bridge has ${attached} active endpoints`);
    await this.#firewall.uninstall();
    await this.#links.removeBridge();
    await this.close();
  }

  async #publish(row: EndpointRow, mappings: readonly PortMapping[]): Promise<void> {
    if (mappings.length === 0) return;
    try {
      row.ports = this.#ports.bind(mappings, row.address);
      this.#store.setPorts(row.containerId, row.ports);
      const ports = translatedPorts(row.ports, row.address);
      try {
        await this.#firewall.publish(ports);
      } catch (error) {
        if (errnoCode(error) !== 'ENOENT') throw error;
        // Somebody flushed all rules of the host (a restart of nftables.service does): put ours back, ports included.
        log.warn('network: the nftables table was removed by another program; restoring it');
        await this.#installFirewall();
      }
    } catch (error) {
      const endpoint = `${row.containerName} (${row.endpointId})`;
      throw new InternalError(
        `driver failed programming external connectivity on endpoint ${endpoint}: ${errorMessage(error)}`,
        error,
      );
    }
  }

  #installFirewall(): Promise<void> {
    return this.#firewall.install(
      this.#store.endpoints().flatMap(({ ports, address }) => translatedPorts(ports, address)),
    );
  }

  /** For clean-up after another error, which is the one to report. */
  async #detachQuietly(containerId: string): Promise<void> {
    try {
      await this.detach(containerId);
    } catch (error) {
      log.error({ container: containerId, reason: errorMessage(error) }, 'network: cannot be removed');
    }
  }

  #endpoint(row: EndpointRow, netnsPath: string): Endpoint {
    return {
      networkId: this.#store.predefined('bridge').id,
      networkName: 'bridge',
      endpointId: row.endpointId,
      ipAddress: formatIPv4(row.address),
      prefixLength: this.#bridge.subnet.prefixLength,
      gateway: formatIPv4(this.#bridge.gateway),
      macAddress: row.macAddress,
      ipv6Address: '',
      ipv6PrefixLength: 0,
      ipv6Gateway: '',
      ports: row.ports,
      netnsPath,
      hostInterface: row.hostInterface,
    };
  }
}
