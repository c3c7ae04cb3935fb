/**
 * rtnetlink: the messages for routes of both families; those for links and addresses come along. Each function adds
 * one message to a request, so that several go out in one send. Source: rtnetlink(7), linux/rtnetlink.h.
 */
import type { Subnet } from '../ip-address.ts';
import { addressFromBytes, formatAddress } from '../ip-address.ts';
import type { NetlinkRequest } from './connection.ts';
import type { NetlinkMessage } from './message.ts';
import {
  findAttribute,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  parseAttributes,
} from './message.ts';

export * from './interface-address.ts';
export * from './link.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTNH_F_ONLINK = 4;
/** struct rtnexthop: length, flags, hops, then the index of the link. */
const NEXT_HOP_INDEX_OFFSET = 4;
const NEXT_HOP_BYTES = 8;

export const ROUTE_TYPE = { unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5 } as const;

const ROUTE_HEADER_BYTES = 12;

/** struct rtmsg. */
function routeHeader(family: number, scope: number, type: number, flags = 0): Buffer {
  const header = Buffer.alloc(ROUTE_HEADER_BYTES);
  header.writeUInt8(family, 0);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(scope, 6);
  header.writeUInt8(type, 7);
  header.writeUInt32LE(flags, 8);
  return header;
}

/**
 * The default route by a gateway that is reached over link `index`, in place of the one that was there, without a
 * moment between. `onLink`: the gateway is a neighbour although no route says so.
 */
export function addDefaultRoute(
  request: NetlinkRequest,
  index: number,
  gateway: Uint8Array,
  onLink = false,
): void {
  const family = gateway.length === 4 ? AF_INET : AF_INET6;
  const label = `add default route by ${formatAddress(addressFromBytes(gateway))}`;
  request.add(label, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
    const flags = onLink ? RTNH_F_ONLINK : 0;
    writer.bytes(routeHeader(family, RT_SCOPE_UNIVERSE, ROUTE_TYPE.unicast, flags));
    writer.attribute(RTA_GATEWAY, gateway);
    writer.u32(RTA_OIF, index);
  });
}

/** The same without a gateway: every address is looked for on the link itself. */
export function addDefaultDeviceRoute(request: NetlinkRequest, family: 4 | 6, index: number): void {
  const label = `add default IPv${family} route by link ${index}`;
  request.add(label, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
    const [number, scope] = family === 4 ? [AF_INET, RT_SCOPE_LINK] : [AF_INET6, RT_SCOPE_UNIVERSE];
    writer.bytes(routeHeader(number, scope, ROUTE_TYPE.unicast));
    writer.u32(RTA_OIF, index);
  });
}

/** Deletes a default route of the main table, by its family, link and metric. ESRCH where there is none. */
export function deleteDefaultRoute(
  request: NetlinkRequest,
  route: { family: 4 | 6; index: number; metric: number },
): void {
  request.add(`delete default IPv${route.family} route`, RTM_DELROUTE, NLM_F_ACK, (writer) => {
    const header = Buffer.alloc(ROUTE_HEADER_BYTES);
    header.writeUInt8(route.family === 4 ? AF_INET : AF_INET6, 0);
    header.writeUInt8(RT_TABLE_MAIN, 4);
    // In a deletion "nowhere" stands for any scope, and type 0 for any type.
    header.writeUInt8(255, 6);
    writer.bytes(header);
    if (route.index !== 0) writer.u32(RTA_OIF, route.index);
    if (route.metric !== 0) writer.u32(RTA_PRIORITY, route.metric);
  });
}

/** Routes of all tables and families. */
export function dumpRoutes(request: NetlinkRequest): void {
  request.add('list routes', RTM_GETROUTE, NLM_F_DUMP, (writer) => {
    const header = Buffer.alloc(ROUTE_HEADER_BYTES);
    header.writeUInt8(AF_UNSPEC, 0);
    writer.bytes(header);
  });
}

export interface Route {
  /** Prefix length 0 for the default route. */
  destination: Subnet;
  /** Index of the outgoing link, the first of several; 0 where the route leads nowhere. */
  index: number;
  mainTable: boolean;
  /** Who made it: RTPROT_BOOT (3) for ours. */
  protocol: number;
  /** One of ROUTE_TYPE, or a number that it does not name: refusals. */
  type: number;
  metric: number;
}

/** Those of links whose index is `wanted`; what the others say is not read. */
export function parseRoutes(
  messages: readonly NetlinkMessage[],
  wanted: (index: number) => boolean = () => true,
): Route[] {
  return messages.flatMap(({ type, payload }) => {
    const family = payload.readUInt8(0);
    if (type !== RTM_NEWROUTE || (family !== AF_INET && family !== AF_INET6)) return [];
    const link = findAttribute(payload, ROUTE_HEADER_BYTES, RTA_OIF)?.readUInt32LE(0);
    if (link !== undefined && !wanted(link)) return [];
    const attributes = parseAttributes(payload.subarray(ROUTE_HEADER_BYTES));
    const length = family === AF_INET ? 4 : 16;
    const first = addressFromBytes(attributes.get(RTA_DST) ?? Buffer.alloc(length));
    return [
      {
        destination: { family: first.family, base: first.value, prefixLength: payload.readUInt8(1) },
        index: link ?? firstHop(attributes.get(RTA_MULTIPATH)),
        mainTable: (attributes.get(RTA_TABLE)?.readUInt32LE(0) ?? payload.readUInt8(4)) === RT_TABLE_MAIN,
        protocol: payload.readUInt8(5),
        type: payload.readUInt8(7),
        metric: attributes.get(RTA_PRIORITY)?.readUInt32LE(0) ?? 0,
      },
    ];
  });
}

function firstHop(hops: Buffer | undefined): number {
  return hops !== undefined && hops.length >= NEXT_HOP_BYTES ? hops.readInt32LE(NEXT_HOP_INDEX_OFFSET) : 0;
}
