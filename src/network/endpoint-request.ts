/**
 * What a container asks of one network (`EndpointSettings`), judged with Docker's texts, and made into an endpoint
 * with addresses, names and interface. Decides; writes and makes nothing.
 */
import type { EndpointSettings } from '../api/networks.ts';
import { errorMessage, ForbiddenError, InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { OPTION } from './driver-options.ts';
import {
  contains,
  formatAddress,
  formatMac,
  macForAddress,
  parseAddress,
  parseMac,
  readAddress,
} from './ip-address.ts';
import { isHostAddress, nextAddress, poolSubnet, reservedAddresses } from './ipam/address-choice.ts';
import { familyOf } from './ipam/pool-request.ts';
import { readEndpointOptions } from './links/endpoint-options.ts';
import type { NetworkRecord } from './model.ts';
import type { EndpointRow, NetworkStore, SandboxRow } from './network-store.ts';
import { randomId } from './network-store.ts';

/** Lists are the client's: longer ones are nobody's. */
const LIST_MAX = 256;
const NAME_BYTES_MAX = 255;

const FAMILIES = [4, 6] as const;

/** Throws InvalidParameter listing all that is wrong, behind Docker's `invalid endpoint settings:`. */
export function judgeEndpoint(network: NetworkRecord, settings: EndpointSettings): void {
  if (network.configOnly) throw new ForbiddenError('cannot create endpoint on configuration-only network');
  const faults = [
    ...predefinedFaults(network, settings),
    ...addressFaults(network, settings),
    ...listFaults(settings),
    ...macFaults(settings),
    ...interfaceFaults(settings),
  ];
  if (faults.length > 0) throw new InvalidParameterError(`invalid endpoint settings:\n${faults.join('\n')}`);
}

function predefinedFaults(network: NetworkRecord, settings: EndpointSettings): string[] {
  if (!['bridge', 'host', 'none'].includes(network.name)) return [];
  const { IPAMConfig: ipam } = settings;
  return [
    ...(ipam?.IPv4Address || ipam?.IPv6Address
      ? ['user specified IP address is supported on user defined networks only']
      : []),
    ...((settings.Aliases ?? []).length > 0
      ? ['network-scoped aliases are only supported for user-defined networks']
      : []),
  ];
}

function addressFaults(network: NetworkRecord, { IPAMConfig: ipam }: EndpointSettings): string[] {
  const faults: string[] = [];
  for (const family of FAMILIES) {
    const text = wantedAddress(ipam, family);
    if (text === '') continue;
    const address = readAddress(text);
    if (address?.family !== family) faults.push(`invalid IPv${family} address: ${text}`);
    else if (network.driver === 'bridge' && network.name === 'bridge') continue;
    else {
      const configured = network.pools.filter((pool) => pool.configured && familyOf(pool) === family);
      if (configured.length === 0) {
        faults.push(
          'user specified IP address is supported only when connecting to networks with user configured subnets',
        );
      } else if (!configured.some((pool) => contains(poolSubnet(pool), address))) {
        faults.push(`no configured subnet or ip-range contain the IP address ${text}`);
      }
    }
  }
  for (const text of ipam?.LinkLocalIPs ?? []) {
    if (readAddress(text) === undefined) faults.push(`invalid link-local IP address: ${text}`);
  }
  return faults;
}

function listFaults({ Aliases, Links, IPAMConfig, DriverOpts, GwPriority }: EndpointSettings): string[] {
  const faults: string[] = [];
  const lists = { alias: Aliases, link: Links, 'link-local IP address': IPAMConfig?.LinkLocalIPs };
  for (const [what, list] of Object.entries(lists)) {
    if ((list ?? []).length > LIST_MAX) faults.push(`more than ${LIST_MAX} entries of kind ${what}`);
    for (const entry of list ?? []) {
      if (entry === '' || Buffer.byteLength(entry) > 2 * NAME_BYTES_MAX || /[\s\0-\x1f\x7f]/.test(entry)) {
        faults.push(`invalid ${what}: ${JSON.stringify(entry)}`);
      }
    }
  }
  if (Object.keys(DriverOpts ?? {}).length > LIST_MAX) faults.push(`more than ${LIST_MAX} driver options`);
  if (!Number.isSafeInteger(GwPriority ?? 0)) faults.push(`invalid gateway priority: ${GwPriority}`);
  return faults;
}

function macFaults({ MacAddress: text }: EndpointSettings): string[] {
  if (!text) return [];
  try {
    parseMac(text);
    return [];
  } catch {
    return [`invalid MAC address: ${text}`];
  }
}

function interfaceFaults({ DriverOpts: options }: EndpointSettings): string[] {
  try {
    readEndpointOptions(options ?? {});
    return [];
  } catch (error) {
    return [errorMessage(error)];
  }
}

function wantedAddress(ipam: EndpointSettings['IPAMConfig'], family: 4 | 6): string {
  return (family === 4 ? ipam?.IPv4Address : ipam?.IPv6Address) ?? '';
}

/** An endpoint and the addresses that it takes from the pools' turn. */
export interface ChosenEndpoint {
  row: EndpointRow;
  lastAddresses: { networkId: string; subnet: string; address: string }[];
}

/**
 * Chooses addresses, MAC and interface of an endpoint; `sandbox.nextInterface` moves on. Throws Forbidden where a
 * wanted address is taken, Unavailable where none is left, InvalidParameter where an interface name is taken.
 */
export function chooseEndpoint(
  store: NetworkStore,
  network: NetworkRecord,
  sandbox: SandboxRow,
  settings: EndpointSettings,
  others: readonly EndpointRow[],
): ChosenEndpoint {
  judgeEndpoint(network, settings);
  const endpointId = randomId();
  const lastAddresses: ChosenEndpoint['lastAddresses'] = [];
  const address = (family: 4 | 6): string => {
    const wanted = wantedAddress(settings.IPAMConfig, family);
    if (wanted !== '') return staticAddress(store, network, wanted);
    if (!(family === 4 ? network.ipv4 : network.ipv6)) return '';
    const { subnet, address } = freeAddress(store, network, family);
    lastAddresses.push({ networkId: network.id, subnet, address });
    return address;
  };
  const [ipv4, ipv6] = [address(4), address(6)];
  const macAddress = settings.MacAddress
    ? formatMac(parseMac(settings.MacAddress))
    : macForAddress(parseAddress(ipv4 || ipv6));
  // Those of addresses differ as the addresses do.
  if (settings.MacAddress) warnOfTwins(store, network, macAddress);
  const row: EndpointRow = {
    containerId: sandbox.containerId,
    networkId: network.id,
    endpointId,
    ipv4,
    ipv6,
    macAddress,
    containerInterface: interfaceName(network, sandbox, settings, others),
    hostInterface: network.driver === 'bridge' ? `veth${endpointId.slice(0, 7)}` : '',
    gwPriority: settings.GwPriority ?? 0,
    aliases: [...(settings.Aliases ?? [])],
    links: (settings.Links ?? []).map(readLink),
    linkLocal: (settings.IPAMConfig?.LinkLocalIPs ?? []).map((text) => formatAddress(parseAddress(text))),
    driverOptions: { ...(settings.DriverOpts ?? {}) },
  };
  return { row, lastAddresses };
}

function staticAddress(store: NetworkStore, network: NetworkRecord, wanted: string): string {
  const address = parseAddress(wanted);
  const text = formatAddress(address);
  const pool = network.pools.find((candidate) => contains(poolSubnet(candidate), address));
  const free =
    pool !== undefined &&
    isHostAddress(poolSubnet(pool), address) &&
    !reservedAddresses(pool).includes(text) &&
    !store.takenAddresses(network.id).has(text);
  if (!free) throw new ForbiddenError('Address already in use');
  return text;
}

function freeAddress(
  store: NetworkStore,
  network: NetworkRecord,
  family: 4 | 6,
): { subnet: string; address: string } {
  const taken = store.takenAddresses(network.id);
  const last = store.network(network.id)?.lastAddresses ?? {};
  for (const pool of network.pools.filter((candidate) => familyOf(candidate) === family)) {
    const address = nextAddress(pool, last[pool.subnet] ?? '', taken);
    if (address !== undefined) return { subnet: pool.subnet, address };
  }
  throw new UnavailableError(
    `no available IPv${family} addresses on this network's address pools: ${network.name} (${network.id})`,
  );
}

/** Numbers go up as long as the sandbox lives: a name never means another interface than before. */
function interfaceName(
  network: NetworkRecord,
  sandbox: SandboxRow,
  settings: EndpointSettings,
  others: readonly EndpointRow[],
): string {
  const used = new Set(others.map((row) => row.containerInterface));
  const wanted = readEndpointOptions(settings.DriverOpts ?? {}).interfaceName;
  if (wanted !== undefined) {
    if (used.has(wanted)) throw new InvalidParameterError(`interface name ${wanted} is already in use`);
    return wanted;
  }
  const prefix = network.options[OPTION.interfacePrefix] ?? 'eth';
  for (let number = sandbox.nextInterface[prefix] ?? 0; ; number++) {
    sandbox.nextInterface[prefix] = number + 1;
    if (!used.has(`${prefix}${number}`)) return `${prefix}${number}`;
  }
}

/** `other:alias`, or a name alone. */
function readLink(text: string): { name: string; alias: string } {
  const [name = '', alias = name] = text.split(':');
  return { name: name.replace(/^\//, ''), alias };
}

/** Two stations with one address lose packets to each other; Docker lets it be, and so do we. */
function warnOfTwins(store: NetworkStore, network: NetworkRecord, macAddress: string): void {
  const twin = store.endpointsOf(network.id).find((row) => row.macAddress === macAddress);
  if (twin === undefined) return;
  log.warn(
    { network: network.name, macAddress, container: twin.containerId },
    'network: two containers have one MAC address',
  );
}
