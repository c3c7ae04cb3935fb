/**
 * rtnetlink's messages about the addresses of links and what is known of their neighbours, of both families: an
 * address is four or sixteen bytes. Source: rtnetlink(7), linux/if_addr.h, linux/neighbour.h.
 */
import type { IpAddress } from '../ip-address.ts';
import { addressFromBytes, formatAddress } from '../ip-address.ts';
import type { NetlinkRequest } from './connection.ts';
import type { NetlinkMessage } from './message.ts';
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, parseAttributes } from './message.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWNEIGH = 28;

const AF_INET = 2;
const AF_INET6 = 10;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_PROTO = 11;
const IFA_F_NODAD = 0x02;
const RT_SCOPE_LINK = 253;

const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_STALE = 0x04;

/** What addresses are marked with that the engine gives to interfaces which are not its own (Linux 5.18). */
export const OWN_ADDRESS_PROTOCOL = 0x6d;

const ADDRESS_HEADER_BYTES = 8;
const NEIGHBOUR_HEADER_BYTES = 12;

const familyNumber = (address: Uint8Array): number => (address.length === 4 ? AF_INET : AF_INET6);
const text = (address: Uint8Array): string => formatAddress(addressFromBytes(address));

/** struct ifaddrmsg. */
function addressHeader(family: number, prefixLength: number, scope: number, index: number): Buffer {
  const header = Buffer.alloc(ADDRESS_HEADER_BYTES);
  header.writeUInt8(family, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(scope, 3);
  header.writeUInt32LE(index, 4);
  return header;
}

export interface NewAddress {
  index: number;
  address: Uint8Array;
  prefixLength: number;
  broadcast?: Uint8Array;
  /** Never the source of packets that leave the link; IPv6 tells that by the address. */
  scopeLink?: boolean;
  protocol?: number;
}

/** Gives a link an address, usable at once; the subnet's route comes with it. Idempotent. */
export function addAddress(request: NetlinkRequest, entry: NewAddress): void {
  const { address, prefixLength, broadcast, protocol } = entry;
  const label = `add address ${text(address)}/${prefixLength}`;
  const scope = entry.scopeLink === true && address.length === 4 ? RT_SCOPE_LINK : 0;
  request.add(label, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, (writer) => {
    writer.bytes(addressHeader(familyNumber(address), prefixLength, scope, entry.index));
    writer.attribute(IFA_LOCAL, address);
    writer.attribute(IFA_ADDRESS, address);
    if (broadcast !== undefined) writer.attribute(IFA_BROADCAST, broadcast);
    // The addresses are ours to give, so that nobody else has one; detecting that would take a second.
    if (address.length !== 4) writer.u32(IFA_FLAGS, IFA_F_NODAD);
    if (protocol !== undefined) writer.u8(IFA_PROTO, protocol);
  });
}

export function deleteAddress(
  request: NetlinkRequest,
  entry: { index: number; address: Uint8Array; prefixLength: number },
): void {
  const { address, prefixLength } = entry;
  request.add(`delete address ${text(address)}/${prefixLength}`, RTM_DELADDR, NLM_F_ACK, (writer) => {
    writer.bytes(addressHeader(familyNumber(address), prefixLength, 0, entry.index));
    writer.attribute(IFA_LOCAL, address);
  });
}

/** Addresses of all families. */
export function dumpAddresses(request: NetlinkRequest): void {
  request.add('list addresses', RTM_GETADDR, NLM_F_DUMP, (writer) => {
    writer.bytes(addressHeader(0, 0, 0, 0));
  });
}

export interface InterfaceAddress {
  index: number;
  address: IpAddress;
  prefixLength: number;
  /** 0 where the kernel does not say. */
  protocol: number;
}

/** Those of links whose index is `wanted`. */
export function parseAddresses(
  messages: readonly NetlinkMessage[],
  wanted: (index: number) => boolean = () => true,
): InterfaceAddress[] {
  return messages.flatMap(({ type, payload }) => {
    const family = payload.readUInt8(0);
    if (type !== RTM_NEWADDR || (family !== AF_INET && family !== AF_INET6)) return [];
    const index = payload.readUInt32LE(4);
    if (!wanted(index)) return [];
    const attributes = parseAttributes(payload.subarray(ADDRESS_HEADER_BYTES));
    const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
    if (address === undefined) return [];
    return [
      {
        index,
        address: addressFromBytes(address),
        prefixLength: payload.readUInt8(1),
        protocol: attributes.get(IFA_PROTO)?.readUInt8(0) ?? 0,
      },
    ];
  });
}

/** Where the host knows a neighbour of this address, it has this MAC address from now on. Never fails. */
export function correctNeighbour(
  request: NetlinkRequest,
  neighbour: { index: number; address: Uint8Array; macAddress: Uint8Array },
): void {
  const label = `correct neighbour ${text(neighbour.address)}`;
  const body = (writer: NetlinkRequest['writer']): void => {
    const header = Buffer.alloc(NEIGHBOUR_HEADER_BYTES);
    header.writeUInt8(familyNumber(neighbour.address), 0);
    header.writeInt32LE(neighbour.index, 4);
    header.writeUInt16LE(NUD_STALE, 8);
    writer.bytes(header);
    writer.attribute(NDA_DST, neighbour.address);
    writer.attribute(NDA_LLADDR, neighbour.macAddress);
  };
  request.add(label, RTM_NEWNEIGH, NLM_F_REPLACE, body, { mayFail: true });
}
