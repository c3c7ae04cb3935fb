/**
 * The nftables table in a container's network namespace that leads port 53 of 127.0.0.11 to the ports that the daemon
 * listens on. The kernel translates the answers back by itself.
 *
 * The table also keeps quiet what the kernel says while no daemon listens: a refused query (port unreachable, reset)
 * fails in the client at once, a lost one is sent again some seconds later and then answered. And it caps the
 * datagrams a second, so that a container cannot keep the daemon busy with reading them.
 */
import { errnoCode, errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { NETLINK_NETFILTER, NetlinkConnection, NetlinkRequest } from '../netlink/connection.ts';
import { flushConntrack } from '../netlink/conntrack.ts';
import { NLM_F_ACK } from '../netlink/message.ts';
import type { Expression } from '../netlink/nft-expressions.ts';
import {
  action,
  bitwiseAnd,
  CMP_EQUAL,
  compare,
  expression,
  loadMeta,
  loadPayload,
  match,
  register,
  writeValue,
} from '../netlink/nft-expressions.ts';
import { NFNL_SUBSYS_NFTABLES, NftBatch, nfnetlinkHeader, TABLE_FAMILY } from '../netlink/nftables.ts';
import type { DnsPorts } from './dns-sandbox.ts';

export const DNS_ADDRESS = '127.0.0.11';
const ADDRESS_BYTES = Uint8Array.of(127, 0, 0, 11);
const DNS_PORT = 53;

const TABLE = 'mydock_dns';
/** A table with other rules than these gets other chain names, so that a new daemon knows an old one's. */
const CHAIN_NAT = 'redirect';
const CHAIN_FILTER = 'guard';
/** Netfilter's priorities of destination NAT and of filters: the filter sees translated ports. */
const PRIORITY_NAT = -100;
const PRIORITY_FILTER = 0;

const QUERIES_PER_SECOND = 10_000;
const QUERY_BURST = 10_000;

const META_L4PROTO = 16;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;
const PAYLOAD = { network: 1, transport: 2 } as const;
const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const ICMP_UNREACHABLE = 3;
const TCP_FLAGS_OFFSET = 13;
const TCP_RESET = 0x04;
const NFPROTO_IPV4 = 2;
const NAT_DESTINATION = 1;
const NFT_MSG_GETCHAIN = 4;

/**
 * Makes the table. `netnsPath` must be a container's, never the host's. With `kept`, an earlier daemon made it for the
 * same ports, and it is only made where it is missing. Replacing one takes the kernel ten milliseconds and more; a
 * namespace that never had one takes well under one.
 */
export async function installRedirection(netnsPath: string, ports: DnsPorts, kept: boolean): Promise<void> {
  const connection = new NetlinkConnection(NETLINK_NETFILTER, netnsPath);
  try {
    const present = await hasTable(connection);
    if (present && kept) return;
    await connection.request(build(ports, present).finish());
    if (present) await forgetFlows(connection);
  } finally {
    connection.closeNow();
  }
}

async function hasTable(connection: NetlinkConnection): Promise<boolean> {
  const request = new NetlinkRequest();
  request.add(
    'find the redirection of DNS',
    (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN,
    NLM_F_ACK,
    (writer) => {
      writer.bytes(nfnetlinkHeader(TABLE_FAMILY.inet, 0));
      writer.string(1, TABLE);
      writer.string(3, CHAIN_FILTER);
    },
  );
  try {
    return (await connection.request(request)).length > 0;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** What is tracked from before would still go to the earlier ports. */
async function forgetFlows(connection: NetlinkConnection): Promise<void> {
  try {
    await connection.request(flushConntrack(ADDRESS_BYTES));
  } catch (error) {
    // Kernels before 6.9 cannot select by address: clients that get a port anew within two minutes ask twice.
    log.debug({ reason: errorMessage(error) }, 'dns: earlier flows to the resolver stay tracked');
  }
}

function build({ udpPort, tcpPort }: DnsPorts, replace: boolean): NftBatch {
  const batch = new NftBatch(TABLE).addTable();
  if (replace) batch.deleteTable().addTable();
  batch.addChain({ name: CHAIN_NAT, type: 'nat', hook: 'output', priority: PRIORITY_NAT });
  for (const [protocol, port] of [
    [PROTOCOL.udp, udpPort],
    [PROTOCOL.tcp, tcpPort],
  ] as const) {
    batch.addRule(CHAIN_NAT, [
      ...address(IPV4_DESTINATION),
      ...transport(protocol),
      ...destinationPort(DNS_PORT),
      ...translateTo(port),
    ]);
  }
  batch.addChain({ name: CHAIN_FILTER, type: 'filter', hook: 'output', priority: PRIORITY_FILTER });
  batch.addRule(CHAIN_FILTER, [
    ...address(IPV4_DESTINATION),
    ...transport(PROTOCOL.udp),
    ...destinationPort(udpPort),
    overRate(QUERIES_PER_SECOND, QUERY_BURST),
    ...action.drop(),
  ]);
  batch.addRule(CHAIN_FILTER, [
    ...address(IPV4_SOURCE),
    ...transport(PROTOCOL.icmp),
    loadPayload(PAYLOAD.transport, 0, 1, register(0)),
    compare(register(0), CMP_EQUAL, Uint8Array.of(ICMP_UNREACHABLE)),
    ...action.drop(),
  ]);
  // Only a reset that answers a SYN has sequence number 0: those of connections that break off are let through.
  batch.addRule(CHAIN_FILTER, [
    ...address(IPV4_SOURCE),
    ...transport(PROTOCOL.tcp),
    loadPayload(PAYLOAD.transport, TCP_FLAGS_OFFSET, 1, register(0)),
    bitwiseAnd(register(0), Uint8Array.of(TCP_RESET)),
    compare(register(0), CMP_EQUAL, Uint8Array.of(TCP_RESET)),
    loadPayload(PAYLOAD.transport, 4, 4, register(0)),
    compare(register(0), CMP_EQUAL, new Uint8Array(4)),
    ...action.drop(),
  ]);
  return batch;
}

/** IPv4 packets whose source or destination is ours. */
function address(offset: number): Expression[] {
  return [
    ...match.ipv4(),
    loadPayload(PAYLOAD.network, offset, 4, register(0)),
    compare(register(0), CMP_EQUAL, ADDRESS_BYTES),
  ];
}

function transport(protocol: number): Expression[] {
  return [loadMeta(META_L4PROTO, register(0)), compare(register(0), CMP_EQUAL, Uint8Array.of(protocol))];
}

function destinationPort(port: number): Expression[] {
  return [
    loadPayload(PAYLOAD.transport, 2, 2, register(0)),
    compare(register(0), CMP_EQUAL, portBytes(port)),
  ];
}

function translateTo(port: number): Expression[] {
  return [
    load(register(0), ADDRESS_BYTES),
    load(register(1), portBytes(port)),
    expression('nat', (writer) => {
      writer.u32be(1, NAT_DESTINATION);
      writer.u32be(2, NFPROTO_IPV4);
      writer.u32be(3, register(0));
      writer.u32be(5, register(1));
    }),
  ];
}

function load(to: number, value: Uint8Array): Expression {
  return expression('immediate', (writer) => {
    writer.u32be(1, to);
    writeValue(writer, 2, value);
  });
}

/** Holds for the packets beyond so many a second. */
function overRate(perSecond: number, burst: number): Expression {
  const long = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return bytes;
  };
  return expression('limit', (writer) => {
    writer.attribute(1, long(perSecond));
    writer.attribute(2, long(1));
    writer.u32be(3, burst);
    writer.u32be(4, 0);
    writer.u32be(5, 1);
  });
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}
