/**
 * What networks and endpoints are in the kernel: bridges, cables, macvlan and ipvlan interfaces, their addresses and
 * routes, made over rtnetlink. Decides nothing about who gets which address; this file chooses by driver and keeps in
 * mind which interface each network lives on, the work is done in the files beside it.
 */
import { closeSync, openSync } from 'node:fs';
import { ConflictError, errnoCode } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { OPTION } from '../driver-options.ts';
import { parseMac } from '../ip-address.ts';
import type { NetworkRecord } from '../model.ts';
import { NetlinkRequest } from '../netlink/connection.ts';
import type { Link } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';
import { Announcer } from './announcement.ts';
import { ensureBridge, notABridge, removeBridge } from './bridge.ts';
import { addEndpointLink, restoreCable } from './endpoint-link.ts';
import type { DefaultRoute, EndpointPlan } from './endpoint-plan.ts';
import type { HostInterface } from './host-links.ts';
import { HostLinks } from './host-links.ts';
import {
  configureInside,
  deleteInside,
  endpointState,
  interfaceNames,
  nameTaken,
  plannedAddresses,
  setDefaultRoutesInside,
} from './inside.ts';
import type { SettledInterface } from './parent.ts';
import { ensureParent, parentRefusal, settleParent } from './parent.ts';
import type { UsedSubnet } from './used-subnets.ts';
import { usedSubnets } from './used-subnets.ts';

export type { Link } from '../netlink/route.ts';
export type { DefaultRoute, EndpointPlan, PlannedAddress } from './endpoint-plan.ts';
export type { SettledInterface } from './parent.ts';
export type { UsedSubnet } from './used-subnets.ts';

export class NetworkLinks {
  readonly #links: HostLinks;
  readonly #announcer = new Announcer();
  /** By network: what `ensure` found or made, or is about to. */
  readonly #homes = new Map<string, Promise<HostInterface>>();

  private constructor(instance: string) {
    this.#links = new HostLinks(instance);
  }

  /** `instance` marks what is made, so that daemons side by side know their own. */
  static async open(options: { instance: string } = { instance: '' }): Promise<NetworkLinks> {
    return new NetworkLinks(options.instance);
  }

  /**
   * Judges a network before it is stored: which interface of the host it lives on, and whether that is made for it
   * and goes with it. Makes nothing. Throws Conflict for an interface that is there and of another kind,
   * InvalidParameter for a parent that cannot be, NotImplemented where the kernel has no such links.
   */
  async settle(network: Pick<NetworkRecord, 'id' | 'driver' | 'options'>): Promise<SettledInterface> {
    switch (network.driver) {
      case 'host':
      case 'null':
        return { hostInterface: '', ownsHostInterface: false };
      case 'bridge': {
        const asked = network.options[OPTION.bridgeName] ?? '';
        const name = asked === '' ? `br-${network.id.slice(0, 12)}` : asked;
        const link = await this.#links.find(name);
        if (link !== undefined && link.kind !== 'bridge') throw notABridge(name);
        if (link !== undefined && asked === '') {
          throw new ConflictError(`network: the interface ${name} exists already`);
        }
        return { hostInterface: name, ownsHostInterface: link === undefined };
      }
      default:
        return settleParent(this.#links, network);
    }
  }

  /** Makes the network's interface of the host, or makes right what is there. Idempotent. */
  async ensure(network: NetworkRecord): Promise<void> {
    if (network.driver === 'host' || network.driver === 'null') return;
    await this.#ensureAnew(network);
  }

  /** Takes away what `ensure` made; what other networks live on too stays. Idempotent. */
  async remove(network: NetworkRecord): Promise<void> {
    const name = network.hostInterface;
    this.#homes.delete(network.id);
    if (network.driver === 'bridge') return removeBridge(this.#links, network);
    const link =
      network.driver === 'host' || network.driver === 'null' ? undefined : await this.#links.find(name);
    if (link === undefined) return;
    const marked = this.#links.markedNetwork(link);
    // Without a mark: whoever made it was interrupted before he wrote one.
    if (marked !== network.id && !(marked === undefined && network.ownsHostInterface)) return;
    const heir = await this.#otherAt(link.index);
    if (heir === undefined) return this.#links.remove(name);
    const request = new NetlinkRequest();
    route.setAlias(request, link, this.#links.mark(heir));
    await this.#links.request(request);
  }

  /**
   * Connects a namespace to the network: interface, addresses, routes. All or nothing. `unused`: nobody is in it yet who
   * would see that it has links born without IPv6 for a moment.
   */
  async plug(network: NetworkRecord, plan: EndpointPlan, netnsPath: string, unused = false): Promise<void> {
    let home = await this.#home(network);
    const bridged = network.driver === 'bridge';
    let created: Pick<Link, 'index' | 'mtu'> | undefined;
    try {
      created = await this.#create(network, home, plan, netnsPath, unused);
    } catch (error) {
      if (addon().interfaceIndex(home.name) === home.index) throw error;
      // Somebody deleted the interface of the host, or made another of that name.
      home = await this.#ensureAnew(network);
      created = await this.#create(network, home, plan, netnsPath, unused);
    }
    try {
      await configureInside(network, plan, netnsPath, created);
    } catch (error) {
      await this.unplug(network, plan, netnsPath);
      throw bridged ? error : parentRefusal(network, error);
    }
    if (!bridged) return;
    // A link-local address is made of the MAC address: nobody had it before.
    const addresses = plannedAddresses(network.driver, plan).filter(({ linkLocal }) => !linkLocal);
    this.#announcer.announce(
      home.index,
      parseMac(plan.macAddress),
      addresses.map(({ address }) => address),
    );
  }

  /** Takes an endpoint's interface away; with `netnsPath` undefined, the namespace is gone or about to be. Idempotent. */
  async unplug(network: NetworkRecord, plan: EndpointPlan, netnsPath: string | undefined): Promise<void> {
    if (network.driver === 'bridge') return this.#links.remove(plan.hostInterface);
    // Links that were born in a namespace end with it.
    if (netnsPath === undefined || (network.driver !== 'macvlan' && network.driver !== 'ipvlan')) return;
    await deleteInside(netnsPath, plan, network.driver);
  }

  /**
   * Makes these the default routes of a namespace: one that is there is replaced in one step, one that is not named is
   * removed. To be called before the interface of the old gateway goes.
   */
  async setDefaultRoutes(
    netnsPath: string,
    routes: { ipv4?: DefaultRoute; ipv6?: DefaultRoute },
  ): Promise<void> {
    setDefaultRoutesInside(netnsPath, routes);
  }

  /**
   * What an endpoint has in its namespace. `bare`: an interface that was never set up, since whoever made it was
   * interrupted. Throws the system error where the namespace is gone.
   */
  endpointState(network: NetworkRecord, plan: EndpointPlan, netnsPath: string): 'whole' | 'bare' | 'missing' {
    return endpointState(plan, netnsPath, network.driver);
  }

  /** The names of a namespace's interfaces, those that the container made itself included. */
  interfaceNames(netnsPath: string): string[] {
    return interfaceNames(netnsPath);
  }

  /** Cables of this host, of whatever bridge they are at or fell off, and whoever made them: see `isOwn`. */
  async cables(): Promise<Link[]> {
    return (await this.#links.list()).filter((link) => link.kind === 'veth' && !isWire(link));
  }

  /** Whether a cable was made by this instance, or is at one of its bridges. */
  async isOwn(link: Link): Promise<boolean> {
    if (this.#links.markedNetwork(link) !== undefined) return true;
    return link.master !== 0 && (await this.#otherAt(link.master)) !== undefined;
  }

  /** Puts a cable back on its network's bridge, and up, where it is not: `link` says how it was found. */
  async replug(network: NetworkRecord, link: Link): Promise<void> {
    const { index } = await this.#home(network);
    const request = new NetlinkRequest();
    restoreCable(request, { network, link, master: index, mark: this.#links.mark(network.id) });
    await this.#links.request(request);
  }

  /** Bridges and parents that this instance made for networks that are not in `known` (IDs). */
  async strays(known: ReadonlySet<string>): Promise<Link[]> {
    return (await this.#links.list()).filter((link) => {
      const network = this.#links.markedNetwork(link);
      return (link.kind !== 'veth' || isWire(link)) && network !== undefined && !known.has(network);
    });
  }

  /** Deletes a link of the host. One that is gone is no error. */
  removeLink(name: string): Promise<void> {
    return this.#links.remove(name);
  }

  /** What routes and addresses of both families and the name servers of the host use, links `except` left out. */
  usedSubnets(except: readonly string[]): Promise<UsedSubnet[]> {
    return usedSubnets(this.#links, except);
  }

  /** Lets go of its sockets; everything made stays. */
  async close(): Promise<void> {
    this.#announcer.close();
    await this.#links.close();
  }

  /** The network's interface of the host. */
  #home(network: NetworkRecord): Promise<HostInterface> {
    return this.#homes.get(network.id) ?? this.#ensureAnew(network);
  }

  #ensureAnew(network: NetworkRecord): Promise<HostInterface> {
    const before = this.#homes.get(network.id)?.catch(() => undefined);
    const ensure = network.driver === 'bridge' ? ensureBridge : ensureParent;
    // One after the other: two starts on a new network would both make its bridge.
    const home = Promise.resolve(before).then(() => ensure(this.#links, network));
    this.#homes.set(network.id, home);
    home.catch(() => {
      if (this.#homes.get(network.id) === home) this.#homes.delete(network.id);
    });
    return home;
  }

  /** A network that lives on the link with this index. */
  async #otherAt(index: number): Promise<string | undefined> {
    for (const [network, home] of this.#homes) {
      if ((await home.catch(() => undefined))?.index === index) return network;
    }
    return undefined;
  }

  /** The endpoint's link, down inside, without addresses. Undefined where it has to be looked for there. */
  async #create(
    network: NetworkRecord,
    home: HostInterface,
    plan: EndpointPlan,
    netnsPath: string,
    unused: boolean,
  ): Promise<Pick<Link, 'index' | 'mtu'> | undefined> {
    const netnsFd = openSync(netnsPath, 'r');
    try {
      const request = new NetlinkRequest();
      addEndpointLink(request, { network, home, plan, netnsFd, mark: this.#links.mark(network.id) });
      const withoutIpv6 = unused && !network.ipv6 ? netnsPath : undefined;
      const [cable] = route.parseLinks(await this.#links.request(request, withoutIpv6));
      return cable === undefined || cable.lower === 0 ? undefined : { index: cable.lower, mtu: cable.mtu };
    } catch (error) {
      if (errnoCode(error) === 'EEXIST') throw nameTaken(plan, error);
      throw network.driver === 'bridge' ? error : parentRefusal(network, error);
    } finally {
      closeSync(netnsFd);
    }
  }
}

/** What parent.ts makes for networks without a parent. */
function isWire(link: Link): boolean {
  return /^d[mp]-/.test(link.name);
}
