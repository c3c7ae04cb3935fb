/**
 * Tracked connections that must not outlive what they lead to. Kernels before 6.9 cannot select what to delete and
 * refuse; entries of UDP flows then time out by themselves. Source: linux/netfilter/nfnetlink_conntrack.h.
 */
import type { Family, IpAddress } from '../ip-address.ts';
import { addressBytes } from '../ip-address.ts';
import type { NetlinkRequest } from '../netlink/connection.ts';
import type { MessageWriter } from '../netlink/message.ts';
import { NLM_F_ACK } from '../netlink/message.ts';

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

interface Selection {
  family: Family;
  tuple: number;
  writeTuple: (writer: MessageWriter) => void;
  originalFlags: number;
  replyFlags: number;
}

/** Those whose answers come from `address`: connections to a container, translated or not. */
export function forgetAnswersFrom(request: NetlinkRequest, address: IpAddress): void {
  addDeletion(request, {
    family: address.family,
    tuple: CTA_TUPLE_REPLY,
    writeTuple: (writer) =>
      writer.nest(CTA_TUPLE_IP, () => writer.attribute(CTA_IP_SOURCE[address.family], addressBytes(address))),
    originalFlags: 0,
    replyFlags: FILTER_IP_SOURCE,
  });
}

/** UDP flows to a port of this host: a client that goes on sending would stay with what was there before. */
export function forgetDatagramsTo(request: NetlinkRequest, address: IpAddress, port: number): void {
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

function addDeletion(request: NetlinkRequest, selection: Selection): void {
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
  request.add('delete tracked connections', type, NLM_F_ACK, (writer) => {
    writer.bytes(Uint8Array.of(ADDRESS_FAMILY[selection.family], 0, 0, 0));
    writer.nest(selection.tuple, () => selection.writeTuple(writer));
    writer.nest(CTA_FILTER, () => {
      writer.u32(CTA_FILTER_ORIGINAL_FLAGS, selection.originalFlags);
      writer.u32(CTA_FILTER_REPLY_FLAGS, selection.replyFlags);
    });
  });
}
