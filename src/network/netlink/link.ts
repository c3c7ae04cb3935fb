/**
 * rtnetlink's messages about links: making them of every kind that the engine has, changing, deleting and reading
 * them. Each function adds one message to a request. Source: rtnetlink(7), linux/if_link.h, linux/if_bridge.h.
 */
import { existsSync } from 'node:fs';
import type { NetlinkRequest } from './connection.ts';
import type { MessageWriter, NetlinkMessage } from './message.ts';
import {
  attributeString,
  findAttribute,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  parseAttributes,
  pickAttributes,
} from './message.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_LOWER_UP = 0x10000;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IFLA_INET_CONF = 1;
const IPV4_DEVCONF_ARP_NOTIFY = 22;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;

const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

export type MacvlanMode = keyof typeof MACVLAN_MODES;
export type IpvlanMode = keyof typeof IPVLAN_MODES;
export type IpvlanFlag = keyof typeof IPVLAN_FLAGS;

/** RFC 8200: on links with a smaller MTU the kernel has no IPv6. */
export const IPV6_MINIMUM_MTU = 1280;

const LINK_HEADER_BYTES = 16;

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

let kernelIpv6: boolean | undefined;

/** False where the kernel was built or booted without IPv6 (`ipv6.disable=1`). */
export function kernelHasIpv6(): boolean {
  kernelIpv6 ??= existsSync('/proc/net/if_inet6');
  return kernelIpv6;
}

function create(request: NetlinkRequest, label: string, body: (writer: MessageWriter) => void): void {
  request.add(label, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, (writer) => {
    writer.bytes(linkHeader(0));
    body(writer);
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
  create(request, `create bridge ${link.name}`, (writer) => {
    writer.string(IFLA_IFNAME, link.name);
    writer.attribute(IFLA_ADDRESS, link.macAddress);
    writer.u32(IFLA_MTU, link.mtu);
    writer.nest(IFLA_LINKINFO, () => writer.string(IFLA_INFO_KIND, 'bridge'));
  });
}

export interface VethPair {
  /** The end in our namespace, made a port of the bridge with index `master`. */
  name: string;
  master: number;
  mtu: number;
  /** The other end, down, born in the namespace of this descriptor under its final name. */
  peer: { name: string; netnsFd: number; macAddress: Uint8Array };
}

export function createVeth(request: NetlinkRequest, pair: VethPair): void {
  create(request, `create veth ${pair.name}`, (writer) => {
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

/** A link that shares its parent's wire, down, born in the namespace of this descriptor under its final name. */
export interface SubordinateLink {
  name: string;
  /** Index of the link below, in our namespace. */
  parent: number;
  netnsFd: number;
  /** 0: that of the parent. */
  mtu: number;
}

function subordinate(writer: MessageWriter, link: SubordinateLink): void {
  writer.string(IFLA_IFNAME, link.name);
  writer.u32(IFLA_LINK, link.parent);
  writer.u32(IFLA_NET_NS_FD, link.netnsFd);
  if (link.mtu !== 0) writer.u32(IFLA_MTU, link.mtu);
}

export function createMacvlan(
  request: NetlinkRequest,
  link: SubordinateLink & { mode: MacvlanMode; macAddress: Uint8Array },
): void {
  create(request, `create macvlan ${link.name}`, (writer) => {
    subordinate(writer, link);
    // In passthru mode the parent would take over the address.
    if (link.mode !== 'passthru') writer.attribute(IFLA_ADDRESS, link.macAddress);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_KIND, 'macvlan');
      writer.nest(IFLA_INFO_DATA, () => writer.u32(IFLA_MACVLAN_MODE, MACVLAN_MODES[link.mode]));
    });
  });
}

export function createIpvlan(
  request: NetlinkRequest,
  link: SubordinateLink & { mode: IpvlanMode; flag: IpvlanFlag },
): void {
  create(request, `create ipvlan ${link.name}`, (writer) => {
    subordinate(writer, link);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_KIND, 'ipvlan');
      writer.nest(IFLA_INFO_DATA, () => {
        writer.u16(IFLA_IPVLAN_MODE, IPVLAN_MODES[link.mode]);
        writer.u16(IFLA_IPVLAN_FLAGS, IPVLAN_FLAGS[link.flag]);
      });
    });
  });
}

/** A VLAN of link `parent`, in our namespace, down. */
export function createVlan(
  request: NetlinkRequest,
  link: { name: string; parent: number; vlanId: number },
): void {
  create(request, `create VLAN ${link.name}`, (writer) => {
    writer.string(IFLA_IFNAME, link.name);
    writer.u32(IFLA_LINK, link.parent);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_KIND, 'vlan');
      writer.nest(IFLA_INFO_DATA, () => writer.u16(IFLA_VLAN_ID, link.vlanId));
    });
  });
}

/**
 * Asks for a link without the parent that its kind needs. Never makes one: EOPNOTSUPP says that the kernel does not
 * know the kind (its module was looked for), EINVAL that it does.
 */
export function probeKind(request: NetlinkRequest, kind: 'macvlan' | 'ipvlan' | 'vlan'): void {
  create(request, `ask for ${kind} links`, (writer) => {
    writer.nest(IFLA_LINKINFO, () => writer.string(IFLA_INFO_KIND, kind));
  });
}

/**
 * Where the kernel would give a link a link-local IPv6 address, it gives none, and no duplicate detection and no
 * multicast come with it. The link must have IPv6, disabled or not.
 */
function noLinkLocalAddress(writer: MessageWriter): void {
  writer.nest(IFLA_AF_SPEC, () => {
    writer.nest(AF_INET6, () => writer.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE));
  });
}

/** For links that have their carrier as soon as they are up, before that: in one message it would come too late. */
export function setNoLinkLocalAddress(request: NetlinkRequest, link: { index: number; name: string }): void {
  request.add(`set the address mode of ${link.name}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(link.index));
    if (link.index === 0) writer.string(IFLA_IFNAME, link.name);
    noLinkLocalAddress(writer);
  });
}

/**
 * Brings a link up, by index or (index 0) by name; without a link-local IPv6 address where it has no carrier yet,
 * unless `ipv6` is false. `alias` is written on it.
 */
export function setLinkUp(
  request: NetlinkRequest,
  link: { index: number; name: string },
  options: { ipv6?: boolean; alias?: string } = {},
): void {
  request.add(`bring ${link.name} up`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(link.index, true));
    if (link.index === 0) writer.string(IFLA_IFNAME, link.name);
    if (options.alias !== undefined) writer.string(IFLA_IFALIAS, options.alias);
    if (options.ipv6 ?? true) noLinkLocalAddress(writer);
  });
}

/** Lets the link announce its IPv4 addresses when it comes up. */
export function setArpNotify(request: NetlinkRequest, index: number): void {
  request.add(`set arp_notify of link ${index}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(index));
    writer.nest(IFLA_AF_SPEC, () => {
      writer.nest(AF_INET, () => {
        writer.nest(IFLA_INET_CONF, () => writer.u32(IPV4_DEVCONF_ARP_NOTIFY, 1));
      });
    });
  });
}

/**
 * What a bridge does with a port's frames. `hairpin`: it sends them back to where they came from, too, which a bridge
 * whose packets pass the firewall (br_netfilter) needs for a container that reaches its own published port.
 * `isolated`: it never sends them to other isolated ports.
 */
export function setPortFlags(
  request: NetlinkRequest,
  name: string,
  flags: { hairpin?: boolean; isolated?: boolean },
): void {
  request.add(`set the flags of bridge port ${name}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
    writer.nest(IFLA_LINKINFO, () => {
      writer.string(IFLA_INFO_SLAVE_KIND, 'bridge');
      writer.nest(IFLA_INFO_SLAVE_DATA, () => {
        if (flags.hairpin !== undefined) writer.u8(IFLA_BRPORT_MODE, Number(flags.hairpin));
        if (flags.isolated !== undefined) writer.u8(IFLA_BRPORT_ISOLATED, Number(flags.isolated));
      });
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

export function setMtu(request: NetlinkRequest, link: { index: number; name: string }, mtu: number): void {
  request.add(`set the MTU of ${link.name} to ${mtu}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(link.index));
    writer.u32(IFLA_MTU, mtu);
  });
}

export function setAlias(
  request: NetlinkRequest,
  link: { index: number; name: string },
  alias: string,
): void {
  request.add(`mark ${link.name}`, RTM_NEWLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(link.index));
    writer.string(IFLA_IFALIAS, alias);
  });
}

/** By name, or where `index` is not 0 by index. ENODEV where there is none. A veth takes its peer with it. */
export function deleteLink(request: NetlinkRequest, name: string, index = 0): void {
  request.add(`delete link ${name}`, RTM_DELLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(index));
    if (index === 0) writer.string(IFLA_IFNAME, name);
  });
}

/** Asks for one link by name, without its counters; ENODEV where there is none. */
export function getLink(request: NetlinkRequest, name: string): void {
  request.add(`get link ${name}`, RTM_GETLINK, NLM_F_ACK, (writer) => {
    writer.bytes(linkHeader(0));
    writer.string(IFLA_IFNAME, name);
    writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  });
}

/** Without the counters, which the kernel would add up over all processors for every link. */
export function dumpLinks(request: NetlinkRequest): void {
  request.add('list links', RTM_GETLINK, NLM_F_DUMP, (writer) => {
    writer.bytes(linkHeader(0));
    writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  });
}

export interface Link {
  index: number;
  name: string;
  up: boolean;
  /** It is up, and of a cable the other end is, too. */
  carrier: boolean;
  loopback: boolean;
  /** Index of the bridge it is a port of; 0 for none. */
  master: number;
  /** Index of the link below it, or of the other end of a cable, in whatever namespace that is; 0 for none. */
  lower: number;
  /** `veth`, `bridge`, …; empty for hardware. */
  kind: string;
  macAddress: Buffer;
  mtu: number;
  /** What its maker wrote on it; empty for nothing. */
  alias: string;
  /** Of a bridge's port; see `setPortFlags`. */
  port?: { hairpin: boolean; isolated: boolean };
}

/** Their names by index. */
export function parseLinkNames(messages: readonly NetlinkMessage[]): Map<number, string> {
  const names = new Map<number, string>();
  for (const { type, payload } of messages) {
    if (type !== RTM_NEWLINK) continue;
    names.set(
      payload.readInt32LE(4),
      attributeString(findAttribute(payload, LINK_HEADER_BYTES, IFLA_IFNAME)),
    );
  }
  return names;
}

const LINK_ATTRIBUTES: ReadonlySet<number> = new Set([
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_MTU,
  IFLA_LINK,
  IFLA_MASTER,
  IFLA_LINKINFO,
  IFLA_IFALIAS,
]);
const PORT_ATTRIBUTES: ReadonlySet<number> = new Set([IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED]);

export function parseLinks(messages: readonly NetlinkMessage[]): Link[] {
  return messages
    .filter((message) => message.type === RTM_NEWLINK)
    .map(({ payload }) => {
      const attributes = pickAttributes(payload, LINK_HEADER_BYTES, LINK_ATTRIBUTES);
      const info = parseAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
      const flags = payload.readUInt32LE(8);
      return {
        index: payload.readInt32LE(4),
        name: attributeString(attributes.get(IFLA_IFNAME)),
        up: (flags & IFF_UP) !== 0,
        carrier: (flags & IFF_LOWER_UP) !== 0,
        loopback: (flags & IFF_LOOPBACK) !== 0,
        lower: attributes.get(IFLA_LINK)?.readUInt32LE(0) ?? 0,
        master: attributes.get(IFLA_MASTER)?.readUInt32LE(0) ?? 0,
        kind: attributeString(info.get(IFLA_INFO_KIND)),
        macAddress: attributes.get(IFLA_ADDRESS) ?? Buffer.alloc(0),
        mtu: attributes.get(IFLA_MTU)?.readUInt32LE(0) ?? 0,
        alias: attributeString(attributes.get(IFLA_IFALIAS)),
        ...portOf(info),
      };
    });
}

function portOf(info: ReadonlyMap<number, Buffer>): Pick<Link, 'port'> {
  const data = info.get(IFLA_INFO_SLAVE_DATA);
  if (data === undefined || attributeString(info.get(IFLA_INFO_SLAVE_KIND)) !== 'bridge') return {};
  const flags = pickAttributes(data, 0, PORT_ATTRIBUTES);
  const isSet = (flag: number): boolean => (flags.get(flag)?.readUInt8(0) ?? 0) !== 0;
  return { port: { hairpin: isSet(IFLA_BRPORT_MODE), isolated: isSet(IFLA_BRPORT_ISOLATED) } };
}
