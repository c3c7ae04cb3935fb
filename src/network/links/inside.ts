/**
 * A container's interface inside its namespace: settings, addresses and routes, once it was born there.
 */
import { ConflictError, errnoCode, InternalError } from '../../base/errors.ts';
import type { IpAddress } from '../ip-address.ts';
import {
  addressBytes,
  contains,
  lastAddress,
  parseAddress,
  parseMac,
  readAddress,
  subnetOf,
} from '../ip-address.ts';
import type { NetworkDriver, NetworkRecord } from '../model.ts';
import type { Setting } from '../netlink/connection.ts';
import { NETLINK_ROUTE, NetlinkConnection, NetlinkRequest, setUpNetns } from '../netlink/connection.ts';
import type { Link } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';
import { readEndpointOptions, sysctlPath } from './endpoint-options.ts';
import type { DefaultRoute, EndpointPlan } from './endpoint-plan.ts';

const RTPROT_BOOT = 3;
/** What the kernel gives to a route that is added without a metric. */
const DEFAULT_METRIC = { 4: 0, 6: 1024 } as const;

const LINK_LOCAL_PREFIX_LENGTH = { 4: 16, 6: 64 } as const;

/** Opens the namespace for a few requests that the kernel answers at once. */
function within<T>(netnsPath: string, body: (inside: NetlinkConnection) => T): T {
  const inside = new NetlinkConnection(NETLINK_ROUTE, netnsPath);
  try {
    return body(inside);
  } finally {
    inside.closeNow();
  }
}

function find(inside: NetlinkConnection, name: string): Link {
  const query = new NetlinkRequest();
  route.getLink(query, name);
  const [link] = route.parseLinks(inside.requestSync(query));
  if (link === undefined) throw new InternalError(`network: the kernel tells nothing of interface ${name}`);
  return link;
}

/**
 * Settings, addresses and routes of the plan's interface, which is down before and up after. `link` undefined: it is
 * looked for by its name.
 */
export async function configureInside(
  network: NetworkRecord,
  plan: EndpointPlan,
  netnsPath: string,
  link: Pick<Link, 'index' | 'mtu'> = within(netnsPath, (inside) => find(inside, plan.containerInterface)),
): Promise<void> {
  const { index, mtu } = link;
  const ipv6 = route.kernelHasIpv6() && mtu >= route.IPV6_MINIMUM_MTU;
  const named = { index, name: plan.containerInterface };
  const request = new NetlinkRequest();
  // A bridge's neighbours are told by the host.
  if (network.driver !== 'bridge') route.setArpNotify(request, index);
  if (network.ipv6 && ipv6) route.setNoLinkLocalAddress(request, named);
  for (const entry of plannedAddresses(network.driver, plan)) {
    route.addAddress(request, newAddress(index, entry));
  }
  route.setLinkUp(request, named, { ipv6: false });
  for (const family of [4, 6] as const) addPlannedRoute(request, index, plan, family);
  await setUpNetns(netnsPath, plannedSettings(network, plan, ipv6), request);
}

function plannedSettings(network: NetworkRecord, plan: EndpointPlan, ipv6: boolean): Setting[] {
  const settings: Setting[] = [];
  if (ipv6) {
    const folder = `/proc/sys/net/ipv6/conf/${plan.containerInterface}`;
    settings.push([`${folder}/disable_ipv6`, network.ipv6 ? '0' : '1']);
    // The gateway of a bridge is known; other containers must not name themselves one.
    if (network.ipv6 && network.driver === 'bridge') settings.push([`${folder}/accept_ra`, '0']);
    if (network.ipv6 && network.driver !== 'bridge') settings.push([`${folder}/ndisc_notify`, '1']);
  }
  for (const { path, value } of readEndpointOptions(plan.options).sysctls) {
    settings.push([sysctlPath(path, plan.containerInterface), value]);
  }
  return settings;
}

interface Entry {
  address: IpAddress;
  prefixLength: number;
  linkLocal: boolean;
}

/** All addresses of an endpoint, with the link-local one that every IPv6 interface has to have (RFC 4291, 2.1). */
export function plannedAddresses(driver: NetworkDriver, plan: EndpointPlan): Entry[] {
  const entries: Entry[] = [];
  for (const planned of [plan.ipv4, plan.ipv6]) {
    if (planned === undefined) continue;
    entries.push({
      address: parseAddress(planned.address),
      prefixLength: planned.prefixLength,
      linkLocal: false,
    });
  }
  const linkLocal = plan.linkLocal.map(parseAddress);
  if (plan.ipv6 !== undefined && !linkLocal.some(({ family }) => family === 6)) {
    linkLocal.push(linkLocalAddress(driver, plan, parseAddress(plan.ipv6.address)));
  }
  for (const address of linkLocal) {
    entries.push({ address, prefixLength: LINK_LOCAL_PREFIX_LENGTH[address.family], linkLocal: true });
  }
  return entries;
}

/** Made of the MAC address (RFC 4291, appendix A); of ipvlan's links, which share one, of the endpoint's address. */
function linkLocalAddress(driver: NetworkDriver, plan: EndpointPlan, ipv6: IpAddress): IpAddress {
  const prefix = 0xfe80n << 112n;
  if (driver === 'ipvlan') return { family: 6, value: prefix | (ipv6.value & ((1n << 64n) - 1n)) };
  const mac = parseMac(plan.macAddress);
  const identifier = Buffer.concat([mac.subarray(0, 3), Buffer.from([0xff, 0xfe]), mac.subarray(3)]);
  // The bit that says "of worldwide uniqueness" is turned around.
  identifier[0] = (identifier[0] ?? 0) ^ 0x02;
  return { family: 6, value: prefix | identifier.readBigUInt64BE() };
}

function newAddress(index: number, { address, prefixLength, linkLocal }: Entry): route.NewAddress {
  const broadcast = lastAddress(subnetOf(address, prefixLength));
  return {
    index,
    address: addressBytes(address),
    prefixLength,
    scopeLink: linkLocal,
    ...(address.family === 4 && prefixLength < 31 ? { broadcast: addressBytes(broadcast) } : {}),
  };
}

function addPlannedRoute(request: NetlinkRequest, index: number, plan: EndpointPlan, family: 4 | 6): void {
  const [text, own] =
    family === 4 ? [plan.defaultRoutes.ipv4, plan.ipv4] : [plan.defaultRoutes.ipv6, plan.ipv6];
  if (text === undefined) return;
  if (text === '') {
    route.addDefaultDeviceRoute(request, family, index);
    return;
  }
  const gateway = parseAddress(text);
  const neighbour =
    (own !== undefined && contains(subnetOf(parseAddress(own.address), own.prefixLength), gateway)) ||
    isLinkLocal(gateway);
  route.addDefaultRoute(request, index, addressBytes(gateway), !neighbour);
}

function isLinkLocal(address: IpAddress): boolean {
  return address.family === 6 && address.value >> 118n === 0xfe80n >> 6n;
}

/** Makes these the default routes that the engine has in a namespace; see NetworkLinks.setDefaultRoutes. */
export function setDefaultRoutesInside(
  netnsPath: string,
  routes: { ipv4?: DefaultRoute; ipv6?: DefaultRoute },
): void {
  within(netnsPath, (inside) => {
    for (const family of [4, 6] as const) {
      const wanted = family === 4 ? routes.ipv4 : routes.ipv6;
      const index = wanted === undefined ? 0 : find(inside, wanted.interface).index;
      if (wanted !== undefined) replaceDefaultRoute(inside, family, index, wanted.gateway);
      removeDefaultRoutes(inside, family, index);
    }
  });
}

function replaceDefaultRoute(inside: NetlinkConnection, family: 4 | 6, index: number, gateway: string): void {
  const address = readAddress(gateway);
  if (address !== undefined && address.family !== family) {
    throw new InternalError(`network: ${gateway} is no IPv${family} gateway`);
  }
  const send = (onLink: boolean): void => {
    const request = new NetlinkRequest();
    if (address === undefined) route.addDefaultDeviceRoute(request, family, index);
    else route.addDefaultRoute(request, index, addressBytes(address), onLink);
    inside.requestSync(request);
  };
  try {
    send(false);
  } catch (error) {
    // No route leads to the gateway: it is a neighbour all the same.
    if (errnoCode(error) !== 'ENETUNREACH' && errnoCode(error) !== 'EHOSTUNREACH') throw error;
    send(true);
  }
}

/** Deletes default routes like ours, except those by link `except`. Others in the namespace may have made their own. */
function removeDefaultRoutes(inside: NetlinkConnection, family: 4 | 6, except: number): void {
  const query = new NetlinkRequest();
  route.dumpRoutes(query);
  for (const { destination, mainTable, protocol, index, metric } of route.parseRoutes(
    inside.requestSync(query),
  )) {
    if (destination.family !== family || destination.prefixLength !== 0 || !mainTable) continue;
    if (protocol !== RTPROT_BOOT || metric !== DEFAULT_METRIC[family] || index === except) continue;
    const request = new NetlinkRequest();
    route.deleteDefaultRoute(request, { family, index, metric });
    try {
      inside.requestSync(request);
    } catch (error) {
      // ESRCH: it went away with its interface meanwhile.
      if (errnoCode(error) !== 'ESRCH') throw error;
    }
  }
}

/** An endpoint's interface: by its name, or where the container has renamed it, by its MAC address. */
function findEndpoint(
  inside: NetlinkConnection,
  plan: EndpointPlan,
  driver: NetworkDriver,
): Link | undefined {
  const query = new NetlinkRequest();
  route.dumpLinks(query);
  const kind = driver === 'bridge' ? 'veth' : driver;
  const links = route.parseLinks(inside.requestSync(query)).filter((link) => link.kind === kind);
  const named = links.find(({ name }) => name === plan.containerInterface);
  // The links of an ipvlan parent share one MAC address.
  if (named !== undefined || driver === 'ipvlan') return named;
  const macAddress = parseMac(plan.macAddress);
  return links.find((link) => link.macAddress.equals(macAddress));
}

/** See NetworkLinks.endpointState. */
export function endpointState(
  plan: EndpointPlan,
  netnsPath: string,
  driver: NetworkDriver,
): 'whole' | 'bare' | 'missing' {
  return within(netnsPath, (inside) => {
    const link = findEndpoint(inside, plan, driver);
    if (link === undefined) return 'missing';
    const query = new NetlinkRequest();
    route.dumpAddresses(query);
    const addresses = route.parseAddresses(inside.requestSync(query));
    return link.up || addresses.some(({ index }) => index === link.index) ? 'whole' : 'bare';
  });
}

/** Deletes an endpoint's own link from a namespace. One that is gone is no error, and neither is a namespace. */
export async function deleteInside(
  netnsPath: string,
  plan: EndpointPlan,
  kind: 'macvlan' | 'ipvlan',
): Promise<void> {
  let inside: NetlinkConnection;
  try {
    inside = new NetlinkConnection(NETLINK_ROUTE, netnsPath);
  } catch (error) {
    // EINVAL: the file is there, but no namespace is bound to it any more.
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'EINVAL') return;
    throw error;
  }
  try {
    const link = findEndpoint(inside, plan, kind);
    if (link === undefined) return;
    const request = new NetlinkRequest();
    route.deleteLink(request, link.name, link.index);
    // Waits for a grace period of the kernel: off the event loop.
    await inside.request(request);
  } catch (error) {
    if (errnoCode(error) !== 'ENODEV') throw error;
  } finally {
    await inside.close();
  }
}

/** The interfaces of a namespace, its loopback included. */
export function interfaceNames(netnsPath: string): string[] {
  return within(netnsPath, (inside) => {
    const query = new NetlinkRequest();
    route.dumpLinks(query);
    return route.parseLinks(inside.requestSync(query)).map(({ name }) => name);
  });
}

/** For EEXIST from the kernel. */
export function nameTaken(plan: EndpointPlan, error: unknown): ConflictError {
  const names = [plan.containerInterface, plan.hostInterface].filter((name) => name !== '');
  return new ConflictError(`network: an interface ${names.join(' or ')} exists already`, error);
}
