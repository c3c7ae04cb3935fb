/**
 * Tells the neighbours of a new endpoint which MAC address its IP addresses have now, so that whoever remembers an
 * earlier owner finds the new one at once: gratuitous ARP (RFC 5227) and unsolicited neighbour advertisements
 * (RFC 4861, 4.4). They are sent out of the bridge itself: the container's own first packets would be lost, because
 * the bridge opens a new port only a moment after its cable is up. A frame goes to every container of the network, so
 * that none is sent where all that anybody can remember is right.
 */
import { closeSync } from 'node:fs';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import type { IpAddress } from '../ip-address.ts';
import { addressBytes, formatAddress, formatMac, macForAddress, parseAddress } from '../ip-address.ts';

const BROADCAST_MAC = Buffer.from('ffffffffffff', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
const ALL_NODES = addressBytes(parseAddress('ff02::1'));

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const ARP_REQUEST = 1;
const NEXT_HEADER_ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const FLAG_OVERRIDE = 0x20;
const OPTION_TARGET_LINK_ADDRESS = 2;

export class Announcer {
  #fd: number | undefined;
  /** IPv4 addresses, by bridge, whose last owner had another MAC address than the one that goes with the address. */
  readonly #unusual = new Set<string>();

  /** What cannot be sent costs the neighbours time and nothing else, and is no error. */
  announce(interfaceIndex: number, macAddress: Uint8Array, addresses: readonly IpAddress[]): void {
    try {
      for (const address of addresses) {
        if (!this.#isNews(interfaceIndex, macAddress, address)) continue;
        this.#fd ??= addon().packetOpen();
        addon().packetSend(this.#fd, interfaceIndex, announcement(macAddress, address));
      }
    } catch (error) {
      log.debug({ reason: errorMessage(error) }, 'network: an address cannot be announced');
    }
  }

  #isNews(interfaceIndex: number, macAddress: Uint8Array, address: IpAddress): boolean {
    if (address.family === 6) return true;
    const key = `${interfaceIndex} ${formatAddress(address)}`;
    if (macForAddress(address) === formatMac(macAddress)) return this.#unusual.delete(key);
    this.#unusual.add(key);
    return true;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** The whole frame. */
export function announcement(macAddress: Uint8Array, address: IpAddress): Buffer {
  return address.family === 4 ? gratuitousArp(macAddress, address) : advertisement(macAddress, address);
}

function ethernetHeader(destination: Uint8Array, source: Uint8Array, type: number): Buffer {
  const header = Buffer.alloc(14);
  header.set(destination, 0);
  header.set(source, 6);
  header.writeUInt16BE(type, 12);
  return header;
}

function gratuitousArp(macAddress: Uint8Array, address: IpAddress): Buffer {
  // Ethernet, IPv4, the lengths of their addresses.
  const header = Buffer.from([0, 1, 8, 0, 6, 4, 0, ARP_REQUEST]);
  const bytes = addressBytes(address);
  const nobody = Buffer.alloc(6);
  const ethernet = ethernetHeader(BROADCAST_MAC, macAddress, ETHERTYPE_ARP);
  return Buffer.concat([ethernet, header, macAddress, bytes, nobody, bytes]);
}

function advertisement(macAddress: Uint8Array, address: IpAddress): Buffer {
  const source = addressBytes(address);
  const message = Buffer.concat([
    Buffer.from([NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, FLAG_OVERRIDE, 0, 0, 0]),
    source,
    Buffer.from([OPTION_TARGET_LINK_ADDRESS, 1]),
    macAddress,
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  // RFC 8200, 8.1: source, destination, length and next header are summed up along with the message.
  const pseudo = Buffer.concat([source, ALL_NODES, length, Buffer.from([0, 0, 0, NEXT_HEADER_ICMPV6])]);
  message.writeUInt16BE(checksum(Buffer.concat([pseudo, message])), 2);
  // Hop limit 255 proves that no router passed it on.
  const header = Buffer.from([0x60, 0, 0, 0, 0, message.length, NEXT_HEADER_ICMPV6, 255]);
  const ethernet = ethernetHeader(ALL_NODES_MAC, macAddress, ETHERTYPE_IPV6);
  return Buffer.concat([ethernet, header, source, ALL_NODES, message]);
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
