/**
 * What networks and endpoints are in the kernel: bridges, cables, macvlan and ipvlan interfaces, their addresses and
 * routes, made over rtnetlink. Decides nothing about who gets which address.
 */
import { NotImplementedError } from '../../base/errors.ts';
import type { Subnet } from '../ip-address.ts';
import type { NetworkRecord } from '../model.ts';
import { NETLINK_ROUTE, NetlinkConnection } from '../netlink/connection.ts';
import type { Link } from '../netlink/route.ts';
import type { DefaultRoute, EndpointPlan } from './endpoint-plan.ts';

export type { Link } from '../netlink/route.ts';
export type { DefaultRoute, EndpointPlan, PlannedAddress } from './endpoint-plan.ts';

/** A subnet that the host uses, and by what: the interface, or `/etc/resolv.conf`. */
export interface UsedSubnet {
  subnet: Subnet;
  interface: string;
}

export class NetworkLinks {
  readonly #connection = new NetlinkConnection(NETLINK_ROUTE, null);

  private constructor(_instance: string) {}

  /** `instance` marks what is made, so that daemons side by side know their own. */
  static async open(options: { instance: string } = { instance: '' }): Promise<NetworkLinks> {
    return new NetworkLinks(options.instance);
  }

  /**
   * Judges a network before it is stored: which interface of the host it lives on, and whether that is made for it
   * and goes with it. Makes nothing. Throws Conflict for an interface that is there and of another kind,
   * InvalidParameter for a parent that cannot be, NotImplemented where the kernel has no such links.
   */
  async settle(
    _network: Omit<NetworkRecord, 'hostInterface' | 'ownsHostInterface'>,
  ): Promise<{ hostInterface: string; ownsHostInterface: boolean }> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Makes the network's interface of the host, or makes right what is there. Idempotent. */
  async ensure(_network: NetworkRecord): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Takes away what `ensure` made. Idempotent. */
  async remove(_network: NetworkRecord): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Connects a namespace to the network: interface, addresses, routes. All or nothing. */
  async plug(_network: NetworkRecord, _plan: EndpointPlan, _netnsPath: string): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Takes an endpoint's interface away; with `netnsPath` undefined, the namespace is gone or about to be. Idempotent. */
  async unplug(_network: NetworkRecord, _plan: EndpointPlan, _netnsPath: string | undefined): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /**
   * Makes these the default routes of a namespace: one that is there is replaced in one step, one that is not named is
   * removed. To be called before the interface of the old gateway goes.
   */
  async setDefaultRoutes(
    _netnsPath: string,
    _routes: { ipv4?: DefaultRoute; ipv6?: DefaultRoute },
  ): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Cables of this host, whatever bridge they are at or fell off. */
  async cables(): Promise<Link[]> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Whether a cable is at the network's bridge. */
  async isPort(_network: NetworkRecord, _link: Link): Promise<boolean> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Puts a cable back on its network's bridge, and up. */
  async replug(_network: NetworkRecord, _link: Link): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Bridges and parents that this instance made for networks that are not in `known` (IDs). */
  async strays(_known: ReadonlySet<string>): Promise<Link[]> {
    throw new NotImplementedError('network: not there yet');
  }

  /** Deletes a link of the host. One that is gone is no error. */
  async removeLink(_name: string): Promise<void> {
    throw new NotImplementedError('network: not there yet');
  }

  /** What routes and addresses of both families and the name servers of the host use, links `except` left out. */
  async usedSubnets(_except: readonly string[]): Promise<UsedSubnet[]> {
    throw new NotImplementedError('network: not there yet');
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
