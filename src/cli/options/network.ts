/** `--network` (plain and `name=…,alias=…`) and the flags that belong to the first network, to endpoints. */
import type { EndpointSettings, NetworkingConfig } from '../../api/networks.ts';
import { splitCsv } from './csv.ts';
import { splitPair } from './environment.ts';
import { parseIpAddress, parseMacAddress } from './host-names.ts';

/** One `--network`. */
export interface NetworkAttachment {
  readonly target: string;
  readonly endpoint: EndpointSettings;
}

/** Flags that describe the endpoint on the first network. */
export interface FirstEndpointFlags {
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly linkLocalIps: readonly string[];
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  readonly macAddress: string | undefined;
}

export interface NetworkChoice {
  readonly mode: string;
  readonly config: NetworkingConfig;
}

/** Reads one `--network` value. */
export function parseNetworkAttachment(text: string): NetworkAttachment {
  if (!/^\w[\w-]*=/.test(text)) return { target: text, endpoint: {} };
  let target = '';
  const endpoint: EndpointSettings = {};
  for (const field of splitCsv(text)) {
    if (!field.includes('=')) throw new Error(`invalid network config format: ${text}`);
    const [key, value] = splitPair(field);
    if (key.toLowerCase() === 'name') target = value;
    else setEndpointField(endpoint, key.toLowerCase(), value.trim());
  }
  if (target === '') throw new Error('no name set for network');
  return { target, endpoint };
}

function setEndpointField(endpoint: EndpointSettings, key: string, value: string): void {
  switch (key) {
    case 'alias':
      endpoint.Aliases = [...(endpoint.Aliases ?? []), value];
      return;
    case 'ip':
      endpoint.IPAMConfig = { ...endpoint.IPAMConfig, IPv4Address: value };
      return;
    case 'ip6':
      endpoint.IPAMConfig = { ...endpoint.IPAMConfig, IPv6Address: value };
      return;
    case 'link-local-ip': {
      const before = endpoint.IPAMConfig?.LinkLocalIPs ?? [];
      endpoint.IPAMConfig = { ...endpoint.IPAMConfig, LinkLocalIPs: [...before, parseIpAddress(value)] };
      return;
    }
    case 'mac-address':
      endpoint.MacAddress = parseMacAddress(value);
      return;
    case 'driver-opt': {
      const [name, option] = splitPair(value);
      endpoint.DriverOpts = { ...endpoint.DriverOpts, [name.toLowerCase()]: option };
      return;
    }
    case 'gw-priority':
      if (!/^-?\d+$/.test(value)) throw new Error(`invalid gw-priority: ${value}`);
      endpoint.GwPriority = Number(value);
      return;
    default:
      throw new Error(`invalid field key ${key}`);
  }
}

/** The network mode (the first network's name) and the endpoints that carry settings. */
export function chooseNetworks(
  attachments: readonly NetworkAttachment[],
  flags: FirstEndpointFlags,
): NetworkChoice {
  const [first = { target: 'default', endpoint: {} }, ...others] = attachments;
  const all = [{ target: first.target, endpoint: withFlags(first, flags) }, ...others];
  const config = new Map<string, EndpointSettings>();
  const seen = new Set<string>();
  for (const { target, endpoint } of all) {
    if (target === '') throw new Error('no name set for network');
    if (seen.has(target)) {
      throw new Error(`network "${target}" is specified multiple times`);
    }
    seen.add(target);
    if (all.length > 1 && !isUserDefined(target)) {
      throw new Error(
        'conflicting options: cannot attach both user-defined and non-user-defined network-modes',
      );
    }
    // A single network without settings is left to the daemon.
    if (all.length > 1 || Object.keys(endpoint).length > 0) config.set(target, endpoint);
  }
  return { mode: first.target, config: { EndpointsConfig: Object.fromEntries(config) } };
}

function isUserDefined(target: string): boolean {
  return !['default', 'bridge', 'host', 'none'].includes(target) && !target.startsWith('container:');
}

function withFlags({ target, endpoint }: NetworkAttachment, flags: FirstEndpointFlags): EndpointSettings {
  refuseBoth(flags, endpoint);
  if (!isUserDefined(target) && (flags.aliases.length > 0 || endpoint.Aliases)) {
    throw new Error('network-scoped aliases are only supported for user-defined networks');
  }
  const ipam = {
    ...endpoint.IPAMConfig,
    ...(flags.ip === undefined ? {} : { IPv4Address: flags.ip }),
    ...(flags.ip6 === undefined ? {} : { IPv6Address: flags.ip6 }),
    ...(flags.linkLocalIps.length === 0 ? {} : { LinkLocalIPs: [...flags.linkLocalIps] }),
  };
  return {
    ...endpoint,
    ...(Object.keys(ipam).length === 0 ? {} : { IPAMConfig: ipam }),
    ...(flags.aliases.length === 0 ? {} : { Aliases: [...flags.aliases] }),
    // On the default bridge links travel in HostConfig.
    ...(flags.links.length === 0 || !isUserDefined(target) ? {} : { Links: [...flags.links] }),
    ...(flags.macAddress === undefined ? {} : { MacAddress: flags.macAddress }),
  };
}

/** A flag and the same in the network's own words. */
function refuseBoth(flags: FirstEndpointFlags, { Aliases, IPAMConfig, MacAddress }: EndpointSettings): void {
  const both: [boolean, string][] = [
    [flags.aliases.length > 0 && Boolean(Aliases), '--network-alias and per-network alias'],
    [flags.ip !== undefined && Boolean(IPAMConfig?.IPv4Address), '--ip and per-network IPv4 address'],
    [flags.ip6 !== undefined && Boolean(IPAMConfig?.IPv6Address), '--ip6 and per-network IPv6 address'],
    [flags.macAddress !== undefined && MacAddress !== undefined, '--mac-address and per-network MAC address'],
    [
      flags.linkLocalIps.length > 0 && Boolean(IPAMConfig?.LinkLocalIPs),
      '--link-local-ip and per-network link-local IP addresses',
    ],
  ];
  const found = both.find(([given]) => given)?.[1];
  if (found !== undefined) throw new Error(`conflicting options: cannot specify both ${found}`);
}
