/**
 * The bridge and the virtual cables between it and containers, over rtnetlink.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { ConflictError, errnoCode } from '../base/errors.ts';
import type { Subnet } from './address.ts';
import { contains, ipv4Bytes, parseMac, subnetSize } from './address.ts';
import { NETLINK_ROUTE, NetlinkConnection, NetlinkRequest } from './netlink/connection.ts';
import type { Link } from './netlink/route.ts';
import * as route from './netlink/route.ts';

/** A container's interface has this name inside its namespace. */
export const CONTAINER_INTERFACE = 'eth0';

/** There where the kernel passes bridged packets through the IP firewall. */
const BRIDGE_NETFILTER_SYSCTLS = '/proc/sys/net/bridge';

export interface BridgeSettings {
  name: string;
  address: number;
  subnet: Subnet;
  mtu: number;
}

/** One end for the bridge, the other for a container. */
export interface Cable {
  hostInterface: string;
  netnsPath: string;
  address: number;
  macAddress: string;
}

export class Links {
  readonly #connection = new NetlinkConnection(NETLINK_ROUTE, null);
  readonly #bridge: BridgeSettings;
  #bridgeIndex = 0;

  private constructor(bridge: BridgeSettings) {
    this.#bridge = bridge;
  }

  /** Makes the bridge, or makes what stands there right: up, with its one address and its settings. */
  static async open(bridge: BridgeSettings): Promise<Links> {
    const links = new Links(bridge);
    try {
      await links.#ensureBridge();
      return links;
    } catch (error) {
      await links.close();
      throw error;
    }
  }

  /** Connects a namespace to the bridge: interface, addresses, default route. All or nothing. */
  async plug(cable: Cable): Promise<void> {
    const { mtu } = this.#bridge;
    const netnsFd = openSync(cable.netnsPath, 'r');
    try {
      const request = new NetlinkRequest();
      route.createVeth(request, {
        name: cable.hostInterface,
        master: this.#bridgeIndex,
        mtu,
        peer: { name: CONTAINER_INTERFACE, netnsFd, macAddress: parseMac(cable.macAddress) },
      });
      if (existsSync(BRIDGE_NETFILTER_SYSCTLS)) route.setHairpin(request, cable.hostInterface);
      route.setLinkUp(request, { index: 0, name: cable.hostInterface });
      await this.#connection.request(request);
    } finally {
      closeSync(netnsFd);
    }
    try {
      this.#configureInside(cable);
    } catch (error) {
      await this.unplug(cable.hostInterface);
      throw error;
    }
  }

  /** Takes a cable away, both ends. One that is gone is no error. */
  async unplug(hostInterface: string): Promise<void> {
    try {
      const request = new NetlinkRequest();
      route.deleteLink(request, hostInterface);
      await this.#connection.request(request);
    } catch (error) {
      if (errnoCode(error) !== 'ENODEV') throw error;
    }
  }

  /** Cables that are there, whatever bridge they are at or fell off. */
  async cables(): Promise<Link[]> {
    return (await this.#list()).filter((link) => link.kind === 'veth');
  }

  /** Puts a cable on the bridge that was made anew, and up. */
  async replug(link: Link): Promise<void> {
    const request = new NetlinkRequest();
    if (link.master !== this.#bridgeIndex) route.setMaster(request, link.name, this.#bridgeIndex);
    if (existsSync(BRIDGE_NETFILTER_SYSCTLS)) route.setHairpin(request, link.name);
    route.setLinkUp(request, link);
    await this.#connection.request(request);
  }

  isPort(link: Link): boolean {
    return link.master === this.#bridgeIndex;
  }

  /** Removes the bridge. */
  async removeBridge(): Promise<void> {
    await this.unplug(this.#bridge.name);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #list(): Promise<Link[]> {
    const request = new NetlinkRequest();
    route.dumpLinks(request);
    return route.parseLinks(await this.#connection.request(request));
  }

  async #find(name: string): Promise<Link | undefined> {
    try {
      const request = new NetlinkRequest();
      route.getLink(request, name);
      return route.parseLinks(await this.#connection.request(request))[0];
    } catch (error) {
      if (errnoCode(error) === 'ENODEV') return undefined;
      throw error;
    }
  }

  async #ensureBridge(): Promise<void> {
    const { name, mtu } = this.#bridge;
    let link = await this.#find(name);
    if (link === undefined) {
      const request = new NetlinkRequest();
      const macAddress = Buffer.concat([Buffer.from([0x02, 0x42]), randomBytes(4)]);
      route.createBridge(request, { name, macAddress, mtu });
      await this.#connection.request(request);
      link = await this.#find(name);
    }
    if (link === undefined || link.kind !== 'bridge') {
      throw new ConflictError(`network: the interface ${name} exists and is not a bridge`);
    }
    this.#bridgeIndex = link.index;
    // Published ports are reached from 127.0.0.1 by translation; the firewall drops what outsiders could do with it.
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/route_localnet`, '1');
    await this.#ensureAddress(link);
  }

  /** The bridge's one address, and the link up. */
  async #ensureAddress(link: Link): Promise<void> {
    const { address, subnet } = this.#bridge;
    const dump = new NetlinkRequest();
    route.dumpAddresses(dump);
    const present = route
      .parseAddresses(await this.#connection.request(dump))
      .filter((entry) => entry.index === link.index && entry.address.family === 4);
    const request = new NetlinkRequest();
    for (const entry of present) {
      if (Number(entry.address.value) === address && entry.prefixLength === subnet.prefixLength) continue;
      route.deleteAddress(request, { ...entry, address: ipv4Bytes(Number(entry.address.value)) });
    }
    route.addAddress(request, this.#addressEntry(link.index, address));
    route.setLinkUp(request, link);
    await this.#connection.request(request);
  }

  #configureInside(cable: Cable): void {
    const inside = new NetlinkConnection(NETLINK_ROUTE, cable.netnsPath);
    try {
      const query = new NetlinkRequest();
      route.getLink(query, CONTAINER_INTERFACE);
      const [link] = route.parseLinks(inside.requestSync(query));
      if (link === undefined)
        throw new ConflictError(`network: no ${CONTAINER_INTERFACE} in ${cable.netnsPath}`);
      const request = new NetlinkRequest();
      route.setLinkUp(request, link);
      route.addAddress(request, this.#addressEntry(link.index, cable.address));
      if (contains(this.#bridge.subnet, this.#bridge.address)) {
        route.addDefaultRoute(request, link.index, ipv4Bytes(this.#bridge.address));
      }
      inside.requestSync(request);
    } finally {
      inside.closeNow();
    }
  }

  #addressEntry(index: number, address: number): Parameters<typeof route.addAddress>[1] {
    const { subnet } = this.#bridge;
    const broadcast = ipv4Bytes(subnet.base + subnetSize(subnet) - 1);
    return { index, address: ipv4Bytes(address), prefixLength: subnet.prefixLength, broadcast };
  }
}

/** Every IPv4 subnet that routes and addresses of the host name, those of interface `except` left out. */
export async function usedSubnets(except: string): Promise<Subnet[]> {
  const connection = new NetlinkConnection(NETLINK_ROUTE, null);
  try {
    const [links, routes, addresses] = [new NetlinkRequest(), new NetlinkRequest(), new NetlinkRequest()];
    route.dumpLinks(links);
    route.dumpRoutes(routes);
    route.dumpAddresses(addresses);
    const own =
      route.parseLinks(await connection.request(links)).find(({ name }) => name === except)?.index ?? -1;
    return [
      ...route
        .parseRoutes(await connection.request(routes))
        .filter(({ destination, index }) => destination.family === 4 && index !== own)
        .map(({ destination: { base, prefixLength } }) => ({ base: Number(base), prefixLength })),
      ...route
        .parseAddresses(await connection.request(addresses))
        .filter(({ address, index }) => address.family === 4 && index !== own)
        .map(({ address, prefixLength }) => ({ base: Number(address.value), prefixLength })),
    ];
  } finally {
    await connection.close();
  }
}

/** Names of the links of the host, the loopback left out. */
export async function linkNames(): Promise<string[]> {
  const connection = new NetlinkConnection(NETLINK_ROUTE, null);
  try {
    const request = new NetlinkRequest();
    route.dumpLinks(request);
    const links = route.parseLinks(await connection.request(request));
    return links.map(({ name }) => name).filter((name) => name !== 'lo');
  } finally {
    await connection.close();
  }
}
