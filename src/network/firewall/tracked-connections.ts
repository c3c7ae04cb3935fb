/**
 * Tracked connections that must not outlive what they lead to. Kernels before 6.9 cannot select what to delete and
 * refuse; entries of UDP flows then time out by themselves. Source: linux/netfilter/nfnetlink_conntrack.h.
 */
import { networkInterfaces } from 'node:os';
import type { Family, IpAddress } from '../ip-address.ts';
import { addressBytes, parseAddress, readAddress } from '../ip-address.ts';
import { NetlinkRequest } from '../netlink/connection.ts';
import type { MessageWriter } from '../netlink/message.ts';
import { NLM_F_ACK } from '../netlink/message.ts';
import type { PublishedPort } from './model.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const ADDRESS_FAMILY = { 4: 2, 6: 10 } as const;
const CTA_TUPLE_ORIGINAL = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_SOURCE = { 4: 1, 6: 3 } as const;
const CTA_IP_DESTINATION = { 4: 2, 6: 4 } as const;
const CTA_PROTO_NUMBER = 1;
const CTA_PROTO_DESTINATION_PORT = 3;
const CTA_FILTER_ORIGINAL_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const FILTER_IP_SOURCE = 1 << 0;
const FILTER_IP_DESTINATION = 1 << 1;
const FILTER_PROTO_NUMBER = 1 << 3;
const FILTER_PROTO_DESTINATION_PORT = 1 << 5;
const IPPROTO_UDP = 17;
/** Each search for flows reads the whole table of them: those to ports of large ranges time out by themselves. */
const FORGOTTEN_MAX = 64;

interface Selection {
  family: Family;
  tuple: number;
  writeTuple: (writer: MessageWriter) => void;
  originalFlags: number;
  replyFlags: number;
}

/** Those whose answers come from `address`: connections to a container, translated or not. */
export function forgetAnswersFrom(address: IpAddress): NetlinkRequest {
  return addDeletion(new NetlinkRequest(), {
    family: address.family,
    tuple: CTA_TUPLE_REPLY,
    writeTuple: (writer) =>
      writer.nest(CTA_TUPLE_IP, () => writer.attribute(CTA_IP_SOURCE[address.family], addressBytes(address))),
    originalFlags: 0,
    replyFlags: FILTER_IP_SOURCE,
  });
}

/** Those that `address` opened. */
export function forgetOpenedBy(address: IpAddress): NetlinkRequest {
  return addDeletion(new NetlinkRequest(), {
    family: address.family,
    tuple: CTA_TUPLE_ORIGINAL,
    writeTuple: (writer) =>
      writer.nest(CTA_TUPLE_IP, () => writer.attribute(CTA_IP_SOURCE[address.family], addressBytes(address))),
    originalFlags: FILTER_IP_SOURCE,
    replyFlags: 0,
  });
}

/**
 * UDP flows to ports of this host: a client that goes on sending would stay with what was there before. Undefined
 * where there is none to forget.
 */
export function forgetPublishedDatagrams(ports: readonly PublishedPort[]): NetlinkRequest | undefined {
  const udp = ports.filter(({ protocol, hostPort }) => protocol === 'udp' && hostPort !== 0);
  if (udp.length === 0) return undefined;
  const local = localAddresses();
  const request = new NetlinkRequest();
  const flows = udp.flatMap(({ hostIp, hostPort, containerAddress: { family } }) =>
    (hostIp === '' ? local : [parseAddress(hostIp)])
      .filter((address) => address.family === family)
      .map((address) => ({ address, hostPort })),
  );
  for (const { address, hostPort } of flows.slice(0, FORGOTTEN_MAX)) {
    addDatagramsTo(request, address, hostPort);
  }
  return flows.length === 0 ? undefined : request;
}

function localAddresses(): IpAddress[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ address }) => readAddress(address) ?? []),
  );
}

function addDatagramsTo(request: NetlinkRequest, address: IpAddress, port: number): void {
  addDeletion(request, {
    family: address.family,
    tuple: CTA_TUPLE_ORIGINAL,
    writeTuple: (writer) => {
      writer.nest(CTA_TUPLE_IP, () =>
        writer.attribute(CTA_IP_DESTINATION[address.family], addressBytes(address)),
      );
      writer.nest(CTA_TUPLE_PROTO, () => {
        writer.u8(CTA_PROTO_NUMBER, IPPROTO_UDP);
        writer.u16be(CTA_PROTO_DESTINATION_PORT, port);
      });
    },
    originalFlags: FILTER_IP_DESTINATION | FILTER_PROTO_NUMBER | FILTER_PROTO_DESTINATION_PORT,
    replyFlags: 0,
  });
}

function addDeletion(request: NetlinkRequest, selection: Selection): NetlinkRequest {
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
  return request.add('delete tracked connections', type, NLM_F_ACK, (writer) => {
    writer.bytes(Uint8Array.of(ADDRESS_FAMILY[selection.family], 0, 0, 0));
    writer.nest(selection.tuple, () => selection.writeTuple(writer));
    writer.nest(CTA_FILTER, () => {
      writer.u32(CTA_FILTER_ORIGINAL_FLAGS, selection.originalFlags);
      writer.u32(CTA_FILTER_REPLY_FLAGS, selection.replyFlags);
    });
  });
}
