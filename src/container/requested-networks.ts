/**
 * What a create request asks of networks, judged before anything changes: which networks, in which order, with what
 * settings. The rules and texts are Docker's (moby, daemon/container_operations.go and the create route), and so are
 * those of older API versions. What each network says to its settings is Networking's to judge.
 */
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import type { EndpointSettings, NetworkingConfig } from '../api/networks.ts';
import { compareApiVersions } from '../api/version.ts';
import { EngineError, InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { parseEgress } from '../network/egress/policy.ts';
import type { EgressPolicy, Networking, NetworkRecord } from '../network/model.ts';
import { networkKind, networksOfMode } from './network-mode.ts';

/** In `HostConfig.Annotations`: what may leave the container, as `parseEgress` takes it. */
const EGRESS_ANNOTATION = 'mydock.egress';

export const SHARED_NETWORK =
  'container sharing network namespace with another container or host cannot be connected to any other network';
export const NO_HOST_NETWORK =
  'cannot connect container to host network - container must be created in host network mode';
export const NO_OTHER_NETWORK =
  'container cannot be connected to multiple networks with one of the networks in private (none) mode';

export interface NetworksRequest {
  config: ContainerConfig;
  /** With its NetworkMode filled in. */
  hostConfig: HostConfig;
  networking: NetworkingConfig;
  apiVersion: string;
}

export interface RequestedNetworks {
  /** By name, the mode's network first. */
  networks: Record<string, EndpointSettings>;
  /** With a network's full ID where the request had a part of it. */
  mode: string;
  warnings: string[];
}

/** Throws InvalidParameter, also where a network does not exist: NotFound is for images in a create. */
export function requestedNetworks(
  networking: Pick<Networking, 'find' | 'validateEndpoint'>,
  request: NetworksRequest,
): RequestedNetworks {
  const { hostConfig, apiVersion } = request;
  const mode = hostConfig.NetworkMode ?? '';
  const asked = askedFor(request.networking, mode);
  const old = compareApiVersions(apiVersion, '1.44') < 0;
  if (old && asked.size > 1) {
    throw new InvalidParameterError(
      `Container cannot be created with multiple network endpoints: ${[...asked.keys()].join(', ')}`,
    );
  }
  const warnings = placeMacAddress(request.config, mode, asked, old);
  requireEgressPlace(hostConfig);
  if (networkKind(mode) !== 'own') {
    for (const name of asked.keys()) if (name !== mode) throw new InvalidParameterError(SHARED_NETWORK);
    return { networks: networksOfMode(hostConfig), mode, warnings };
  }
  const modeNetwork = findAsked(networking, mode);
  const networks = resolve(
    networking,
    asked.size === 0 ? new Map([[mode, {}]]) : asked,
    request.networking.EndpointsConfig ?? {},
  );
  return {
    networks: inOrder(networks, modeNetwork.name),
    mode: [modeNetwork.name, modeNetwork.id].includes(mode) ? mode : modeNetwork.id,
    warnings,
  };
}

/** The policy that the container itself was given; null for none. Throws InvalidParameter. */
export function containerEgress(hostConfig: HostConfig): EgressPolicy | null {
  const text = hostConfig.Annotations?.[EGRESS_ANNOTATION];
  return text === undefined ? null : parseEgress(text);
}

function requireEgressPlace(hostConfig: HostConfig): void {
  if (containerEgress(hostConfig) === null || networkKind(hostConfig.NetworkMode) === 'own') return;
  throw new InvalidParameterError(
    `conflicting options: egress rules and the network mode "${hostConfig.NetworkMode}"`,
  );
}

/** The settings of the request, by the names that it uses; `default` is the default bridge. */
function askedFor(networking: NetworkingConfig, mode: string): Map<string, EndpointSettings> {
  const asked = new Map<string, EndpointSettings>();
  for (const [name, settings] of Object.entries(networking.EndpointsConfig ?? {})) {
    asked.set(name === 'default' ? 'bridge' : name, requestedSettings(settings ?? {}));
  }
  // With the host's or another container's network, clients may repeat the mode here.
  if (networkKind(mode) === 'container') asked.delete(mode);
  return asked;
}

/** What a request may set, without what it leaves empty; the rest is reported of live endpoints. */
export function requestedSettings(settings: EndpointSettings): EndpointSettings {
  const { IPAMConfig, Links, Aliases, MacAddress, DriverOpts, GwPriority } = settings;
  const { IPv4Address, IPv6Address, LinkLocalIPs } = IPAMConfig ?? {};
  const ipam = {
    ...(IPv4Address ? { IPv4Address } : {}),
    ...(IPv6Address ? { IPv6Address } : {}),
    ...(LinkLocalIPs?.length ? { LinkLocalIPs } : {}),
  };
  return {
    ...(Object.keys(ipam).length > 0 ? { IPAMConfig: ipam } : {}),
    ...(Links?.length ? { Links } : {}),
    ...(Aliases?.length ? { Aliases } : {}),
    ...(MacAddress ? { MacAddress } : {}),
    ...(Object.keys(DriverOpts ?? {}).length > 0 ? { DriverOpts: DriverOpts ?? {} } : {}),
    ...(GwPriority ? { GwPriority } : {}),
  };
}

/** The container-wide MAC address belongs to the mode's network. Returns warnings; changes `config` and `asked`. */
function placeMacAddress(
  config: ContainerConfig,
  mode: string,
  asked: Map<string, EndpointSettings>,
  old: boolean,
): string[] {
  const address = config.MacAddress ?? '';
  // API versions before 1.44 had no addresses of endpoints, and ignored them.
  if (old) for (const settings of asked.values()) delete settings.MacAddress;
  if (address === '') return [];
  const attachable = networkKind(mode) === 'own' && mode !== 'none';
  if (!attachable && old) {
    throw new InvalidParameterError('conflicting options: mac-address and the network mode');
  }
  if (attachable) {
    if (asked.size === 0) asked.set(mode, {});
    const settings = old ? [...asked.values()][0] : asked.get(mode);
    if (settings === undefined) {
      throw new InvalidParameterError(
        'unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks',
      );
    }
    if (!['', address].includes(settings.MacAddress ?? '')) {
      throw new InvalidParameterError(
        'the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty',
      );
    }
    settings.MacAddress = address;
  }
  delete config.MacAddress;
  return old
    ? []
    : [
        'The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.',
      ];
}

function resolve(
  networking: Pick<Networking, 'find' | 'validateEndpoint'>,
  asked: ReadonlyMap<string, EndpointSettings>,
  given: NonNullable<NetworkingConfig['EndpointsConfig']>,
): Map<string, EndpointSettings> {
  const networks = new Map<string, EndpointSettings>();
  for (const [reference, settings] of asked) {
    const network = findAsked(networking, reference);
    if (network.driver === 'host') throw new InvalidParameterError(NO_HOST_NETWORK);
    if (network.driver === 'null' && asked.size > 1) throw new InvalidParameterError(NO_OTHER_NETWORK);
    if (networks.has(network.name)) {
      throw new InvalidParameterError(`network ${network.name} is given twice, also as "${reference}"`);
    }
    judgeSettings(networking, network, settings, `invalid config for network ${reference}: `);
    networks.set(network.name, settingsOn(network, settings, given[reference]?.NetworkID));
  }
  return networks;
}

/**
 * A request that says the network's own ID means this one, and no later one of its name. Another ID there is one that
 * clients repeat from an inspect.
 */
export function settingsOn(
  network: Pick<NetworkRecord, 'id'>,
  settings: EndpointSettings,
  networkId: string | undefined,
): EndpointSettings {
  return networkId === network.id ? { ...settings, NetworkID: networkId } : settings;
}

/** What the network says to settings, as InvalidParameter behind `prefix`. */
export function judgeSettings(
  networking: Pick<Networking, 'validateEndpoint'>,
  network: NetworkRecord,
  settings: EndpointSettings,
  prefix: string,
): void {
  try {
    networking.validateEndpoint(network.name, settings);
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const kind = error.kind === 'NotFound' ? 'InvalidParameter' : error.kind;
    throw new EngineError(kind, `${prefix}${error.message}`, error.cause);
  }
}

function findAsked(networking: Pick<Networking, 'find'>, reference: string): NetworkRecord {
  try {
    return networking.find(reference);
  } catch (error) {
    throw error instanceof NotFoundError ? new InvalidParameterError(error.message) : error;
  }
}

function inOrder(
  networks: ReadonlyMap<string, EndpointSettings>,
  first: string,
): Record<string, EndpointSettings> {
  const ordered = [...networks].sort(([a], [b]) => Number(b === first) - Number(a === first));
  return Object.fromEntries(ordered);
}

/** What speaks against `network` beside the networks that a container is on: throws InvalidParameter. */
export function requireCompatible(
  mode: string | undefined,
  present: readonly NetworkRecord[],
  network: NetworkRecord,
): void {
  const kind = networkKind(mode);
  if (kind !== 'host' && network.driver === 'host') throw new InvalidParameterError(NO_HOST_NETWORK);
  if (kind !== 'own') throw new InvalidParameterError(SHARED_NETWORK);
  const drivers = [network, ...present.filter(({ id }) => id !== network.id)].map(({ driver }) => driver);
  if (drivers.length > 1 && drivers.includes('null')) throw new InvalidParameterError(NO_OTHER_NETWORK);
}
