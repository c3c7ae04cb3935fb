/**
 * rtnetlink: the messages for links, addresses and routes that the engine sends, and the ones that it reads. Each
 * function adds one message to a request, so that several go out in one send. Source: rtnetlink(7), linux/if_link.h,
 * linux/rtnetlink.h.
 */
import type { NetlinkRequest } from './connection.ts';
import type { MessageWriter, NetlinkMessage } from './message.ts';
import {
  attributeString,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  parseAttributes,
} from './message.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

const IFF_UP = 1;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_BRPORT_MODE = 4;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const VETH_INFO_PEER = 1;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;

const LINK_HEADER_BYTES = 16;
const ADDRESS_HEADER_BYTES = 8;
const ROUTE_HEADER_BYTES = 12;

/** struct ifinfomsg. `up` undefined leaves the flag as it is. */
function linkHeader(index: number, up?: boolean): Buffer {
  const header = Buffer.alloc(LINK_HEADER_BYTES);
  header.writeUInt8(AF_UNSPEC, 0);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** struct ifaddrmsg. */
function addressHeader(index: number, prefixLength: number): Buffer {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt32LE(index, 4);
  return header;
}

/** Where the kernel would make a link-local IPv6 address, none is made: no duplicate detection, no multicast. */
function noLinkLocalAddress(writer: MessageWriter): void {
  writer.nest(IFLA_AF_SPEC, () => {
    writer.nest(AF_INET6, () => writer.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE));
  });
}

/**
 * A bridge, down. Its own MAC address keeps it from taking over, and changing with, that of its ports.
 * EEXIST where the name is taken.
 */
export function createBridge(
  request: NetlinkRequest,
  link: { name: string; macAddress: Uint8Array; mtu: number },
): void {
  request.add(`create bridge ${link.name}`, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, link.name);
    writer.attribute(IFLA_ADDRESS, link.macAddress);
    writer.u32(IFLA_MTU, link.mtu);
    writer.nest(IFLA_LINKINFO, () => writer.string(IFLA_INFO_KIND, 'bridge'));
  });
}

export interface VethPair {
  /** The end in our namespace, made up and a port of the bridge with index `master`. */
  name: string;
  master: number;
  mtu: number;
  /** The other end, down, born in the namespace of this descriptor under its final name. */
  peer: { name: string; netnsFd: number; macAddress: Uint8Array };
}

export function createVeth(request: NetlinkRequest, pair: VethPair): void {
  request.add(`create veth ${pair.name}`, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, pair.name);
    writer.u32(IFLA_MTU, pair.mtu);
    writer.u32(IFLA_MASTER, pair.master);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_KIND, 'veth');
      writer.nest(IFLA_INFO_DATA, () => {
        writer.nest(VETH_INFO_PEER, () => {
          writer.bytes(linkHeader(0));
          writer.string(IFLA_IFNAME, pair.peer.name);
          writer.u32(IFLA_MTU, pair.mtu);
          writer.attribute(IFLA_ADDRESS, pair.peer.macAddress);
          writer.u32(IFLA_NET_NS_FD, pair.peer.netnsFd);
        });
      });
    });
  });
}

/** Brings a link up, by index or (index 0) by name, without a link-local IPv6 address. */
export function setLinkUp(request: NetlinkRequest, link: { index: number; name: string }): void {
  request.add(`bring ${link.name} up`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(link.index, true));
    if (link.index === 0) writer.string(IFLA_IFNAME, link.name);
    noLinkLocalAddress(writer);
  });
}

/**
 * Lets a port send a frame back to where it came from. A bridge whose packets pass the firewall (br_netfilter)
 * needs it for a container that reaches its own published port.
 */
export function setHairpin(request: NetlinkRequest, name: string): void {
  request.add(`set hairpin mode of ${name}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_SLAVE_KIND, 'bridge');
      writer.nest(IFLA_INFO_SLAVE_DATA, () => writer.u8(IFLA_BRPORT_MODE, 1));
    });
  });
}

export function setMaster(request: NetlinkRequest, name: string, master: number): void {
  request.add(`make ${name} a bridge port`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
    writer.u32(IFLA_MASTER, master);
  });
}

/** ENODEV where there is none. A veth takes its peer with it. */
export function deleteLink(request: NetlinkRequest, name: string): void {
  request.add(`delete link ${name}`, RTM_DELLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
  });
}

/** Asks for one link by name; ENODEV where there is none. */
export function getLink(request: NetlinkRequest, name: string): void {
  request.add(`get link ${name}`, RTM_GETLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
  });
}

export function dumpLinks(request: NetlinkRequest): void {
  request.add('list links', RTM_GETLINK, NLM_F_DUMP, (writer) => writer.bytes(linkHeader(0)));
}

/** Gives a link an IPv4 address; the subnet's route comes with it. Idempotent. */
export function addAddress(
  request: NetlinkRequest,
  entry: { index: number; address: Buffer; prefixLength: number; broadcast?: Buffer },
): void {
  const label = `add address ${entry.address.join('.')}/${entry.prefixLength}`;
  request.add(label, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
    writer.bytes(addressHeader(entry.index, entry.prefixLength));
    writer.attribute(IFA_LOCAL, entry.address);
    writer.attribute(IFA_ADDRESS, entry.address);
    if (entry.broadcast !== undefined) writer.attribute(IFA_BROADCAST, entry.broadcast);
  });
}

export function deleteAddress(
  request: NetlinkRequest,
  entry: { index: number; address: Buffer; prefixLength: number },
): void {
  const label = `delete address ${entry.address.join('.')}/${entry.prefixLength}`;
  request.add(label, RTM_DELADDR, NLM_F_ACK, (writer) => {
    writer.bytes(addressHeader(entry.index, entry.prefixLength));
    writer.attribute(IFA_LOCAL, entry.address);
  });
}

export function dumpAddresses(request: NetlinkRequest): void {
  request.add('list addresses', RTM_GETADDR, NLM_F_DUMP, (writer) => writer.bytes(addressHeader(0, 0)));
}

/** struct rtmsg. */
function routeHeader(table: number): Buffer {
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(table, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  return header;
}

/** The default route by a gateway that is reached over link `index`. Idempotent. */
export function addDefaultRoute(request: NetlinkRequest, index: number, gateway: Buffer): void {
  const label = `add default route by ${gateway.join('.')}`;
  request.add(label, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
    writer.bytes(routeHeader(RT_TABLE_MAIN));
    writer.attribute(RTA_GATEWAY, gateway);
    writer.u32(RTA_OIF, index);
  });
}

/** IPv4 routes of all tables. */
export function dumpRoutes(request: NetlinkRequest): void {
  request.add('list routes', RTM_GETROUTE, NLM_F_DUMP, (writer) => {
    const header = Buffer.alloc(ROUTE_HEADER_BYTES);
    header.writeUInt8(AF_INET, 0);
    writer.bytes(header);
  });
}

export interface Link {
  index: number;
  name: string;
  up: boolean;
  /** Index of the bridge it is a port of; 0 for none. */
  master: number;
  /** `veth`, `bridge`, …; empty for hardware. */
  kind: string;
  macAddress: Buffer;
}

export function parseLinks(messages: readonly NetlinkMessage[]): Link[] {
  return messages
    .filter((message) => message.type === RTM_NEWLINK)
    .map(({ payload }) => {
      const attributes = parseAttributes(payload.subarray(LINK_HEADER_BYTES));
      const info = attributes.get(IFLA_LINKINFO);
      return {
        index: payload.readInt32LE(4),
        name: attributeString(attributes.get(IFLA_IFNAME)),
        up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
        master: attributes.get(IFLA_MASTER)?.readUInt32LE(0) ?? 0,
        kind: info === undefined ? '' : attributeString(parseAttributes(info).get(IFLA_INFO_KIND)),
        macAddress: attributes.get(IFLA_ADDRESS) ?? Buffer.alloc(0),
      };
    });
}

export interface InterfaceAddress {
  index: number;
  address: number;
  prefixLength: number;
}

export function parseAddresses(messages: readonly NetlinkMessage[]): InterfaceAddress[] {
  return messages
    .filter((message) => message.type === RTM_NEWADDR && message.payload.readUInt8(0) === AF_INET)
    .map(({ payload }) => {
      const attributes = parseAttributes(payload.subarray(ADDRESS_HEADER_BYTES));
      const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      return {
        index: payload.readUInt32LE(4),
        address: address?.readUInt32BE(0) ?? 0,
        prefixLength: payload.readUInt8(1),
      };
    });
}

export interface Route {
  /** First address; 0 with prefix length 0 for the default route. */
  destination: number;
  prefixLength: number;
  /** Index of the outgoing link; 0 where the route has none or several. */
  index: number;
}

export function parseRoutes(messages: readonly NetlinkMessage[]): Route[] {
  return messages
    .filter((message) => message.type === RTM_NEWROUTE && message.payload.readUInt8(0) === AF_INET)
    .map(({ payload }) => {
      const attributes = parseAttributes(payload.subarray(ROUTE_HEADER_BYTES));
      return {
        destination: attributes.get(RTA_DST)?.readUInt32BE(0) ?? 0,
        prefixLength: payload.readUInt8(1),
        index: attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0,
      };
    });
}
