/**
 * The interface of the host below the links of a macvlan or ipvlan network: one that is there, a VLAN of one that is
 * made where it is missing, or, where the user names none, a wire that leads nowhere. That is a cable with both ends
 * here: unlike dummy links every kernel that runs this engine has it, and unlike a bridge without ports it has a
 * carrier, without which the links above it send nothing.
 */
import { closeSync, openSync } from 'node:fs';
import { ConflictError, errnoCode, InvalidParameterError, NotImplementedError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { OPTION } from '../driver-options.ts';
import type { NetworkRecord } from '../model.ts';
import { NetlinkRequest } from '../netlink/connection.ts';
import type { Link } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';
import type { HostInterface, HostLinks } from './host-links.ts';

const VLAN_ID_MAX = 4094;

/** What `settleParent` found out; to be stored with the network. */
export interface SettledInterface {
  hostInterface: string;
  ownsHostInterface: boolean;
}

/**
 * Judges the `parent` option without making anything. Throws NotImplemented where the kernel does not know the driver's
 * links or VLANs, InvalidParameter for a parent that cannot be.
 */
export async function settleParent(
  links: HostLinks,
  network: Pick<NetworkRecord, 'id' | 'driver' | 'options'>,
): Promise<SettledInterface> {
  const { driver } = network;
  if (driver !== 'macvlan' && driver !== 'ipvlan') {
    throw new InvalidParameterError(`network driver ${driver} has no parent interface`);
  }
  await requireKind(links, driver, `network driver "${driver}"`);
  const parent = network.options[OPTION.parent] ?? '';
  if (parent === '') return { hostInterface: `dm-${network.id.slice(0, 12)}`, ownsHostInterface: true };
  const link = await links.find(parent);
  if (link?.loopback === true) {
    throw new InvalidParameterError(`loopback interface is not a valid ${driver} parent link`);
  }
  if (link !== undefined) return { hostInterface: parent, ownsHostInterface: false };
  await findVlanBase(links, parent);
  await requireKind(links, 'vlan', `the parent interface ${parent} is missing and cannot be made`);
  return { hostInterface: parent, ownsHostInterface: true };
}

/** Whether its parent is a wire of ours that leads nowhere, both ends on the host. */
function isOwnWire({ driver, options }: Pick<NetworkRecord, 'driver' | 'options'>): boolean {
  return (driver === 'macvlan' || driver === 'ipvlan') && (options[OPTION.parent] ?? '') === '';
}

/** Interfaces of the host that lead to the network's containers, and nowhere else: a user's parent is none of them. */
export function innerInterfaces(
  network: Pick<NetworkRecord, 'driver' | 'options' | 'hostInterface'>,
): string[] {
  const { driver, hostInterface } = network;
  if (driver === 'bridge') return [hostInterface];
  return isOwnWire(network) ? [hostInterface, farEnd(hostInterface)] : [];
}

/** The parent is there afterwards; one that was made is up. */
export async function ensureParent(links: HostLinks, network: NetworkRecord): Promise<HostInterface> {
  const name = network.hostInterface;
  const isWire = isOwnWire(network);
  let link = await links.find(name);
  const found = link !== undefined;
  if (link === undefined) {
    if (isWire) await createWire(links, name, network);
    else await createVlan(links, name);
    link = await links.find(name);
  }
  if (link === undefined) throw missing(name);
  if (isWire) await silenceFarEnd(links, farEnd(name), link.mtu);
  // A VLAN that another network had made counts as this one's once it had to be made again.
  if (network.ownsHostInterface || !found) await bringUp(links, network, link);
  return { name, index: link.index, mtu: mtuOf(network) };
}

async function createVlan(links: HostLinks, name: string): Promise<void> {
  const { base, vlanId } = await findVlanBase(links, name);
  const request = new NetlinkRequest();
  route.createVlan(request, { name, parent: base.index, vlanId });
  await links.request(request);
}

const farEnd = (name: string): string => name.replace(/^dm-/, 'dp-');

async function createWire(links: HostLinks, name: string, network: NetworkRecord): Promise<void> {
  const macAddress = Buffer.from(`0242${network.id.slice(0, 8)}`, 'hex');
  const netnsFd = openSync('/proc/self/ns/net', 'r');
  try {
    const request = new NetlinkRequest();
    const mtu = mtuOf(network) || 1500;
    route.createVeth(request, { name, master: 0, mtu, peer: { name: farEnd(name), netnsFd, macAddress } });
    await links.request(request);
  } finally {
    closeSync(netnsFd);
  }
}

/**
 * The far end is up, which gives the near one its carrier, and the host does not listen there: it answers no ARP,
 * takes no packet (no route leads back to the sender), forwards none and has no IPv6.
 */
async function silenceFarEnd(links: HostLinks, name: string, mtu: number): Promise<void> {
  const ipv4 = `/proc/sys/net/ipv4/conf/${name}`;
  const settings: [path: string, value: string][] = [
    [`${ipv4}/arp_ignore`, '8'],
    [`${ipv4}/rp_filter`, '1'],
    [`${ipv4}/forwarding`, '0'],
  ];
  if (hasIpv6(mtu)) settings.push([`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1']);
  addon().writeSysctls(
    null,
    settings.map(([path]) => path),
    settings.map(([, value]) => value),
  );
  const request = new NetlinkRequest();
  route.setLinkUp(request, { index: 0, name }, { ipv6: false });
  await links.request(request);
}

function hasIpv6(mtu: number): boolean {
  return route.kernelHasIpv6() && mtu >= route.IPV6_MINIMUM_MTU;
}

function mtuOf(network: Pick<NetworkRecord, 'options'>): number {
  return Number(network.options[OPTION.mtu] ?? 0);
}

/** A parent of our own is only a wire: without addresses. Its mark stays with the network that has it. */
async function bringUp(links: HostLinks, network: NetworkRecord, link: Link): Promise<void> {
  if (hasIpv6(link.mtu)) {
    addon().writeSysctls(null, [`/proc/sys/net/ipv6/conf/${link.name}/disable_ipv6`], ['1']);
  }
  const request = new NetlinkRequest();
  const marked = links.markedNetwork(link) !== undefined;
  route.setLinkUp(request, link, { ipv6: false, ...(marked ? {} : { alias: links.mark(network.id) }) });
  await links.request(request);
}

/** Throws NotImplemented, with `what` before the reason, where the kernel does not know this kind of link. */
async function requireKind(
  links: HostLinks,
  kind: 'macvlan' | 'ipvlan' | 'vlan',
  what: string,
): Promise<void> {
  try {
    const request = new NetlinkRequest();
    route.probeKind(request, kind);
    await links.request(request);
  } catch (error) {
    if (errnoCode(error) === 'EOPNOTSUPP') {
      throw new NotImplementedError(`${what}: the kernel has no ${kind} links`, error);
    }
    // Any other refusal is for what the request lacks.
  }
}

/** `eth0.50` as the link `eth0` and 50. */
async function findVlanBase(links: HostLinks, name: string): Promise<{ base: Link; vlanId: number }> {
  const parts = /^(.+)\.(\d{1,5})$/.exec(name);
  if (parts?.[1] === undefined) throw missing(name);
  const vlanId = Number(parts[2]);
  if (vlanId < 1 || vlanId > VLAN_ID_MAX) {
    throw new InvalidParameterError(`vlan id must be between 1-${VLAN_ID_MAX}, received: ${vlanId}`);
  }
  const base = await links.find(parts[1]);
  if (base === undefined) {
    throw new InvalidParameterError(`failed to find master interface ${parts[1]} on the host`);
  }
  return { base, vlanId };
}

function missing(name: string): InvalidParameterError {
  return new InvalidParameterError(
    `invalid subinterface vlan name ${name}, example formatting is eth0.10: no interface of the host is called so`,
  );
}

/** The kernel's refusal to put a link on the parent, in the user's terms. */
export function parentRefusal(network: NetworkRecord, error: unknown): unknown {
  const { driver, hostInterface } = network;
  switch (errnoCode(error)) {
    case 'EOPNOTSUPP':
      return new NotImplementedError(`network driver "${driver}": the kernel has no such links`, error);
    case 'EBUSY':
      return new ConflictError(
        `network ${network.name}: the parent interface ${hostInterface} is in use in another way (as a bridge's port, or by another driver or mode)`,
        error,
      );
    case 'ENETDOWN':
      return new ConflictError(
        `network ${network.name}: the parent interface ${hostInterface} is down`,
        error,
      );
    default:
      return error;
  }
}
