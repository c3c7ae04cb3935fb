/**
 * The links of the host: finding, listing and deleting them, and the mark on those that this engine made, by which a
 * later daemon knows its own.
 */
import { errnoCode } from '../../base/errors.ts';
import { NETLINK_ROUTE, NetlinkConnection, NetlinkRequest } from '../netlink/connection.ts';
import type { NetlinkMessage } from '../netlink/message.ts';
import type { InterfaceAddress, Link } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';

export class HostLinks {
  readonly #connection = new NetlinkConnection(NETLINK_ROUTE, null);
  readonly #instance: string;

  constructor(instance: string) {
    this.#instance = instance;
  }

  request(request: NetlinkRequest, withoutIpv6?: string): Promise<NetlinkMessage[]> {
    return this.#connection.request(request, withoutIpv6);
  }

  async find(name: string): Promise<Link | undefined> {
    try {
      const request = new NetlinkRequest();
      route.getLink(request, name);
      return route.parseLinks(await this.request(request))[0];
    } catch (error) {
      if (errnoCode(error) === 'ENODEV') return undefined;
      throw error;
    }
  }

  async list(): Promise<Link[]> {
    const request = new NetlinkRequest();
    route.dumpLinks(request);
    return route.parseLinks(await this.request(request));
  }

  /** By index. */
  async names(): Promise<Map<number, string>> {
    const request = new NetlinkRequest();
    route.dumpLinks(request);
    return route.parseLinkNames(await this.request(request));
  }

  /** Of links whose index is `wanted`. */
  async addresses(wanted: (index: number) => boolean): Promise<InterfaceAddress[]> {
    const request = new NetlinkRequest();
    route.dumpAddresses(request);
    return route.parseAddresses(await this.request(request), wanted);
  }

  /** By links whose index is `wanted`, and those that lead to no link. */
  async routes(wanted: (index: number) => boolean): Promise<route.Route[]> {
    const request = new NetlinkRequest();
    route.dumpRoutes(request);
    return route.parseRoutes(await this.request(request), wanted);
  }

  /** One that is gone is no error. */
  async remove(name: string): Promise<void> {
    try {
      const request = new NetlinkRequest();
      route.deleteLink(request, name);
      await this.request(request);
    } catch (error) {
      if (errnoCode(error) !== 'ENODEV') throw error;
    }
  }

  /** What is written on a link that is made for a network. */
  mark(networkId: string): string {
    return `${this.#prefix}${networkId}`;
  }

  /** The network that this engine made a link for; undefined for links of others. */
  markedNetwork(link: Link): string | undefined {
    return link.alias.startsWith(this.#prefix) ? link.alias.slice(this.#prefix.length) : undefined;
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  get #prefix(): string {
    return `mydock:${this.#instance}:`;
  }
}

/** An interface of the host that a network lives on. */
export interface HostInterface {
  name: string;
  index: number;
  mtu: number;
}
