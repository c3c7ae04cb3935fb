/**
 * An endpoint's link, as messages: the cable between a bridge and a container, or a macvlan or ipvlan link that is born
 * in the container's namespace. Down inside, and without addresses.
 */
import { existsSync, readFileSync } from 'node:fs';
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import { flagOption, OPTION } from '../driver-options.ts';
import { addressBytes, parseMac } from '../ip-address.ts';
import type { NetworkRecord } from '../model.ts';
import type { NetlinkRequest } from '../netlink/connection.ts';
import type { IpvlanFlag, IpvlanMode, Link, MacvlanMode } from '../netlink/route.ts';
import * as route from '../netlink/route.ts';
import type { EndpointPlan } from './endpoint-plan.ts';
import type { HostInterface } from './host-links.ts';
import { plannedAddresses } from './inside.ts';

/** There where the kernel passes bridged packets through the IP firewall. */
const BRIDGE_NETFILTER_SYSCTLS = '/proc/sys/net/bridge';
const BRIDGE_NETFILTER_SWITCHES = ['iptables', 'ip6tables'].map(
  (name) => `${BRIDGE_NETFILTER_SYSCTLS}/bridge-nf-call-${name}`,
);

export interface NewEndpointLink {
  network: NetworkRecord;
  home: HostInterface;
  plan: EndpointPlan;
  netnsFd: number;
  /** Is written on the end that stays with the host. */
  mark: string;
}

/**
 * Makes the link of an endpoint. Its first message fails where a name is taken. For a cable the answer has its end at the
 * host (`Link.lower`: the container's).
 */
export function addEndpointLink(request: NetlinkRequest, link: NewEndpointLink): void {
  if (link.network.driver === 'bridge') addCable(request, link);
  else addSubordinate(request, link);
}

function addCable(request: NetlinkRequest, { network, home, plan, netnsFd, mark }: NewEndpointLink): void {
  const { hostInterface: name, containerInterface } = plan;
  const { mtu } = home;
  const macAddress = parseMac(plan.macAddress);
  const peer = { name: containerInterface, netnsFd, macAddress };
  route.createVeth(request, { name, master: home.index, mtu, peer });
  const flags = portFlags(network);
  if (flags.hairpin || flags.isolated) route.setPortFlags(request, name, flags);
  route.setLinkUp(request, { index: 0, name }, { ipv6: hasIpv6(mtu), alias: mark });
  // Last of what can fail: its answer names the other end.
  route.getLink(request, name);
  for (const { address } of plannedAddresses(network.driver, plan)) {
    route.correctNeighbour(request, { index: home.index, address: addressBytes(address), macAddress });
  }
}

/**
 * Puts a cable on the bridge with index `master`, with what belongs to a port of it, and up. Adds nothing for one that is
 * as it has to be: hundreds of them would each wait for the kernel's lock over all interfaces.
 */
export function restoreCable(
  request: NetlinkRequest,
  { network, link, master, mark }: { network: NetworkRecord; link: Link; master: number; mark: string },
): void {
  const flags = portFlags(network);
  const moves = link.master !== master;
  if (moves) route.setMaster(request, link.name, master);
  if (moves || link.port?.hairpin !== flags.hairpin || link.port.isolated !== flags.isolated) {
    route.setPortFlags(request, link.name, flags);
  }
  if (!link.up || link.alias !== mark) {
    route.setLinkUp(request, link, { ipv6: hasIpv6(link.mtu), alias: mark });
  }
}

/**
 * Where bridged packets pass the firewall, that keeps neighbours apart: isolated ports would also drop what the
 * firewall translates for a published port, because then it stays on the bridge. Elsewhere it goes by the host.
 */
function portFlags({ options }: NetworkRecord): { hairpin: boolean; isolated: boolean } {
  return {
    hairpin: existsSync(BRIDGE_NETFILTER_SYSCTLS),
    isolated: !flagOption(options, OPTION.icc, true) && !BRIDGE_NETFILTER_SWITCHES.every(isOn),
  };
}

function isOn(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').trim() !== '0';
  } catch {
    // The kernel has no such switch, or its module is not loaded.
    return false;
  }
}

function hasIpv6(mtu: number): boolean {
  return mtu >= route.IPV6_MINIMUM_MTU && route.kernelHasIpv6();
}

function addSubordinate(request: NetlinkRequest, { network, home, plan, netnsFd }: NewEndpointLink): void {
  const link = { name: plan.containerInterface, parent: home.index, netnsFd, mtu: home.mtu };
  const { options } = network;
  if (network.driver === 'macvlan') {
    const mode = oneOf<MacvlanMode>(options[OPTION.macvlanMode], ['bridge', 'private', 'vepa', 'passthru']);
    route.createMacvlan(request, { ...link, mode, macAddress: parseMac(plan.macAddress) });
  } else if (network.driver === 'ipvlan') {
    const mode = oneOf<IpvlanMode>(options[OPTION.ipvlanMode], ['l2', 'l3', 'l3s']);
    const flag = oneOf<IpvlanFlag>(options[OPTION.ipvlanFlag], ['bridge', 'private', 'vepa']);
    route.createIpvlan(request, { ...link, mode, flag });
  } else {
    throw new InternalError(`network driver ${network.driver} has no interfaces`);
  }
}

/** The first of `known` where nothing is said. */
function oneOf<T extends string>(value: string | undefined, known: readonly [T, ...T[]]): T {
  if (value === undefined || value === '') return known[0];
  const found = known.find((one) => one === value);
  if (found === undefined)
    throw new InvalidParameterError(`unknown mode "${value}": want ${known.join(', ')}`);
  return found;
}
