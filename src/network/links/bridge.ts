/**
 * The bridge of a network: made, or made right where it stands, and taken away. One that a user made and named is only
 * borrowed: it gets the network's addresses beside its own, keeps all its settings, and is never deleted.
 */
import { randomBytes } from 'node:crypto';
import { ConflictError, errnoCode, UnavailableError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { flagOption, gatewayMode, OPTION } from '../driver-options.ts';
import {
  addressBytes,
  lastAddress,
  parseAddress,
  parseSubnet,
  sameAddress,
  subnetOf,
} from '../ip-address.ts';
import type { NetworkRecord } from '../model.ts';
import { NetlinkRequest } from '../netlink/connection.ts';
import type { InterfaceAddress, Link } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';
import type { HostInterface, HostLinks } from './host-links.ts';

const DEFAULT_MTU = 1500;

/** Neighbours find the router of an IPv6 network here as well, whatever its other addresses are. */
const LINK_LOCAL_GATEWAY = 'fe80::1';

type BridgeAddress = Pick<InterfaceAddress, 'address' | 'prefixLength'>;

/** 0 where the network does not say. */
function wantedMtu(network: Pick<NetworkRecord, 'options'>): number {
  return Number(network.options[OPTION.mtu] ?? 0);
}

/** The bridge is there afterwards, up, with the network's addresses. Throws Conflict where the name is taken. */
export async function ensureBridge(links: HostLinks, network: NetworkRecord): Promise<HostInterface> {
  const name = network.hostInterface;
  let link = await links.find(name);
  const isNew = link === undefined;
  if (link === undefined) {
    if (!network.ownsHostInterface) {
      throw new UnavailableError(
        `network ${network.name}: the bridge ${name}, which it was made for, is gone`,
      );
    }
    const request = new NetlinkRequest();
    const macAddress = Buffer.concat([Buffer.from([0x02, 0x42]), randomBytes(4)]);
    route.createBridge(request, { name, macAddress, mtu: wantedMtu(network) || DEFAULT_MTU });
    await links.request(request);
    link = await links.find(name);
  }
  if (link === undefined || link.kind !== 'bridge') throw notABridge(name);
  const mtu = network.ownsHostInterface ? wantedMtu(network) || DEFAULT_MTU : link.mtu;
  setSysctls(network, mtu);
  const present = isNew ? [] : await addressesOf(links, link);
  await setAddresses(links, network, { ...link, mtu }, { mtu: link.mtu, addresses: present });
  return { name, index: link.index, mtu: wantedMtu(network) || mtu };
}

export function notABridge(name: string): ConflictError {
  return new ConflictError(`network: the interface ${name} exists and is not a bridge`);
}

/** Takes the bridge away where it is the network's own, else what the network gave it. Idempotent. */
export async function removeBridge(links: HostLinks, network: NetworkRecord): Promise<void> {
  const link = await links.find(network.hostInterface);
  if (link === undefined || link.kind !== 'bridge') return;
  if (network.ownsHostInterface) return links.remove(network.hostInterface);
  const wanted = bridgeAddresses(network);
  const request = new NetlinkRequest();
  for (const entry of await addressesOf(links, link)) {
    // What the user had given it before, the same address perhaps, does not carry our number.
    if (entry.protocol !== route.OWN_ADDRESS_PROTOCOL || !wanted.some((one) => sameEntry(one, entry)))
      continue;
    route.deleteAddress(request, { ...entry, address: addressBytes(entry.address) });
  }
  await links.request(request);
  // Without the firewall's guard it would let neighbours reach services that listen on 127.0.0.1 only.
  setRouteLocalnet(link.name, '0');
}

/** What the bridge itself has: the gateway of each pool, unless an option says that it has none of the family. */
function bridgeAddresses(network: NetworkRecord): BridgeAddress[] {
  const { options } = network;
  const addresses = network.pools
    .filter(({ gateway }) => gateway !== '')
    .map(({ gateway, subnet }) => ({
      address: parseAddress(gateway),
      prefixLength: parseSubnet(subnet).prefixLength,
    }))
    .filter(({ address: { family } }) => gatewayMode(options, family) !== 'isolated')
    .filter(({ address }) => address.family === 6 || !flagOption(options, OPTION.inhibitIPv4, false));
  if (network.ipv6 && network.ownsHostInterface && gatewayMode(options, 6) !== 'isolated') {
    addresses.push({ address: parseAddress(LINK_LOCAL_GATEWAY), prefixLength: 64 });
  }
  return addresses;
}

function sameEntry(a: BridgeAddress, b: BridgeAddress): boolean {
  return sameAddress(a.address, b.address) && a.prefixLength === b.prefixLength;
}

function addressesOf(links: HostLinks, link: Link): Promise<InterfaceAddress[]> {
  return links.addresses((index) => index === link.index);
}

function setRouteLocalnet(name: string, value: '0' | '1'): void {
  addon().writeSysctls(null, [`/proc/sys/net/ipv4/conf/${name}/route_localnet`], [value]);
}

function setSysctls(network: NetworkRecord, mtu: number): void {
  const name = network.hostInterface;
  // Published ports are reached from 127.0.0.1 by translation; the firewall drops what outsiders could do with it.
  setRouteLocalnet(name, '1');
  if (!route.kernelHasIpv6() || mtu < route.IPV6_MINIMUM_MTU) {
    if (network.ipv6) throw new UnavailableError(`network ${network.name}: ${name} cannot have IPv6`);
    return;
  }
  const settings: [name: string, value: string][] = network.ownsHostInterface
    ? [
        // A container could make itself the host's router.
        ['accept_ra', '0'],
        ['disable_ipv6', network.ipv6 ? '0' : '1'],
      ]
    : network.ipv6
      ? [['disable_ipv6', '0']]
      : [];
  addon().writeSysctls(
    null,
    settings.map(([setting]) => `/proc/sys/net/ipv6/conf/${name}/${setting}`),
    settings.map(([, value]) => value),
  );
}

/** Exactly the network's addresses on a bridge of its own, at least those on another's; and up. */
async function setAddresses(
  links: HostLinks,
  network: NetworkRecord,
  link: Link,
  before: { mtu: number; addresses: readonly InterfaceAddress[] },
): Promise<void> {
  const own = network.ownsHostInterface;
  const wanted = bridgeAddresses(network);
  const present = before.addresses;
  const request = new NetlinkRequest();
  if (before.mtu !== link.mtu) route.setMtu(request, link, link.mtu);
  for (const entry of present) {
    if (!own || wanted.some((one) => sameEntry(one, entry))) continue;
    route.deleteAddress(request, { ...entry, address: addressBytes(entry.address) });
  }
  const ipv6 = route.kernelHasIpv6() && link.mtu >= route.IPV6_MINIMUM_MTU;
  if (own) {
    if (ipv6) route.setNoLinkLocalAddress(request, link);
    route.setLinkUp(request, link, { ipv6: false, alias: links.mark(network.id) });
  } else if (!link.up) {
    route.setLinkUp(request, link, { ipv6: false });
  }
  for (const entry of wanted) {
    if (!present.some((one) => sameEntry(one, entry)))
      route.addAddress(request, newAddress(link, entry, own));
  }
  try {
    await links.request(request);
  } catch (error) {
    if (errnoCode(error) !== 'EADDRNOTAVAIL') throw error;
    // An address that was to be deleted went away by itself, as secondary ones do with their first: once more.
    await links.request(addressesOnly(link, wanted, own));
  }
}

function addressesOnly(link: Link, wanted: readonly BridgeAddress[], own: boolean): NetlinkRequest {
  const request = new NetlinkRequest();
  for (const entry of wanted) route.addAddress(request, newAddress(link, entry, own));
  return request;
}

function newAddress(link: Link, entry: BridgeAddress, own: boolean): route.NewAddress {
  const { address, prefixLength } = entry;
  const subnet = subnetOf(address, prefixLength);
  return {
    index: link.index,
    address: addressBytes(address),
    prefixLength,
    ...(address.family === 4 && prefixLength < 31 ? { broadcast: addressBytes(lastAddress(subnet)) } : {}),
    ...(own ? {} : { protocol: route.OWN_ADDRESS_PROTOCOL }),
  };
}
