/**
 * Connection tracking over nfnetlink: forgetting the tracked connections of one address.
 * Source: linux/netfilter/nfnetlink_conntrack.h.
 */
import { NetlinkRequest } from './connection.ts';
import { NLM_F_ACK } from './message.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const AF_INET = 2;
const AF_INET6 = 10;
const CTA_TUPLE_REPLY = 2;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_SRC = 3;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
const CTA_FILTER_IP_SOURCE = 1;

/**
 * Deletes every tracked connection whose answers come from `address` (four or sixteen bytes): those to a container,
 * translated or not.
 * Kernels before 6.9 refuse it.
 */
export function flushConntrack(address: Uint8Array): NetlinkRequest {
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
  return new NetlinkRequest().add('delete tracked connections', type, NLM_F_ACK, (writer) => {
    const [family, source] = address.length === 4 ? [AF_INET, CTA_IP_V4_SRC] : [AF_INET6, CTA_IP_V6_SRC];
    writer.bytes(Uint8Array.of(family, 0, 0, 0));
    writer.nest(CTA_TUPLE_REPLY, () => {
      writer.nest(CTA_TUPLE_IP, () => writer.attribute(source, address));
    });
    writer.nest(CTA_FILTER, () => {
      writer.u32(CTA_FILTER_ORIG_FLAGS, 0);
      writer.u32(CTA_FILTER_REPLY_FLAGS, CTA_FILTER_IP_SOURCE);
    });
  });
}
