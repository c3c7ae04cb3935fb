/**
 * The networks of a container's run: from what its record asks for to a sandbox, and back; and the events that tell of
 * both. What happens in the kernel is Networking's.
 */
import { hostname as hostHostname } from 'node:os';
import type { EndpointSettings } from '../api/networks.ts';
import { EngineError, NotFoundError } from '../base/errors.ts';
import type { DnsSettings, NetworkRecord } from '../network/model.ts';
import type { NamespaceChoice } from '../oci/generate.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { namespaceOf, sharedWith } from './namespaces.ts';
import { isUserDefined, networkKind } from './network-mode.ts';
import { portMappings, portRequests } from './port-bindings.ts';
import type { ContainerRecord } from './record.ts';
import { containerEgress } from './requested-networks.ts';

/**
 * Makes the container's networks, in a namespace that belongs to the user namespace at a path. `begun` hears where the
 * namespace is as soon as it is there and the record has its addresses; interfaces, ports and names follow.
 */
export async function attachNetworks(
  engine: EngineContext,
  container: Container,
  begun: (namespace: NamespaceChoice) => void,
  userNamespace?: string,
): Promise<void> {
  const { hostConfig } = container.record;
  const other = sharedWith(engine, hostConfig.NetworkMode);
  if (networkKind(hostConfig.NetworkMode) === 'host') begun('host');
  else if (other !== undefined) begun({ path: namespaceOf(other, 'net') });
  else await makeNamespace(engine, container, begun, userNamespace);
  for (const network of networksOfRun(engine, container)) tellConnected(engine, container, network);
}

async function makeNamespace(
  engine: EngineContext,
  container: Container,
  begun: (namespace: NamespaceChoice) => void,
  userNamespace: string | undefined,
): Promise<void> {
  const { record } = container;
  const { hostConfig } = record;
  const request = {
    containerId: container.id,
    containerName: record.name,
    hostname: record.config.Hostname ?? '',
    networks: Object.entries(record.networks)
      .filter(([name]) => name !== 'none')
      .map(([name, settings]) => ({ network: networkReference(name, settings), settings })),
    ports: portMappings(portRequests(hostConfig, record.config.ExposedPorts)),
    dns: dnsSettings(engine, record),
    egress: containerEgress(hostConfig),
    ...(userNamespace === undefined ? {} : { userNamespace }),
  };
  try {
    record.sandbox = await engine.networks.attach(request, (sandbox) => {
      record.sandbox = sandbox;
      begun({ path: sandbox.netnsPath });
    });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `failed to set up container networking: ${error.message}`, error.cause);
  }
  for (const { networkName, networkId } of record.sandbox.endpoints) {
    record.networks[networkName] = { ...record.networks[networkName], NetworkID: networkId };
  }
}

/** Undoes `attachNetworks`. Idempotent. */
export async function detachNetworks(engine: EngineContext, container: Container): Promise<void> {
  if (networkKind(container.record.hostConfig.NetworkMode) === 'own') {
    await engine.networks.detach(container.id);
  }
  container.record.sandbox = null;
}

/** A user-defined network is meant by its ID once that is known; predefined ones have another ID on every host. */
export function networkReference(name: string, settings: EndpointSettings): string {
  return isUserDefined(name) && settings.NetworkID ? settings.NetworkID : name;
}

/** The networks of its record that exist. */
export function networksOfRun(engine: EngineContext, container: Container): NetworkRecord[] {
  return Object.entries(container.record.networks).flatMap(([name, settings]) => {
    const network = tryFindNetwork(engine, networkReference(name, settings));
    return network === undefined ? [] : [network];
  });
}

export function tryFindNetwork(engine: EngineContext, reference: string): NetworkRecord | undefined {
  try {
    return engine.networks.find(reference);
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** Tells that a run is on a network. */
export function tellConnected(engine: EngineContext, container: Container, network: NetworkRecord): void {
  container.toldNetworks.set(network.id, { name: network.name, type: network.driver });
  const { id, name, driver: type } = network;
  engine.events.publish('network', 'connect', id, { container: container.id, name, type });
}

/** Tells that it is on the network no more, where it was told that it is. */
export function tellDisconnected(engine: EngineContext, container: Container, networkId: string): void {
  const told = container.toldNetworks.get(networkId);
  if (told === undefined) return;
  container.toldNetworks.delete(networkId);
  engine.events.publish('network', 'disconnect', networkId, { container: container.id, ...told });
}

/** The end of a run, for every network that it was on. */
export function tellAllDisconnected(engine: EngineContext, container: Container): void {
  for (const id of [...container.toldNetworks.keys()]) tellDisconnected(engine, container, id);
}

/** For a run that began under an earlier daemon: what that one told. */
export function recallNetworks(engine: EngineContext, container: Container): void {
  for (const { id, name, driver } of networksOfRun(engine, container)) {
    container.toldNetworks.set(id, { name, type: driver });
  }
}

/** The container's own, part by part over the daemon's. */
export function dnsSettings(
  { settings }: Pick<EngineContext, 'settings'>,
  { hostConfig }: Pick<ContainerRecord, 'hostConfig'>,
): DnsSettings {
  return {
    servers: pick(hostConfig.Dns, settings.dns),
    search: pick(hostConfig.DnsSearch, settings.dnsSearch),
    options: pick(hostConfig.DnsOptions, settings.dnsOptions),
  };
}

function pick(own: string[] | null | undefined, fallback: string[]): string[] {
  return own === null || own === undefined || own.length === 0 ? fallback : own;
}

/** The name inside: its own, that of the container whose network it shares, or the host's with the host's network. */
export function containerHostname(engine: EngineContext, container: Container): string {
  const { config, hostConfig } = container.record;
  if (hostConfig.UTSMode === 'host') return hostHostname();
  // One that was removed since leaves its network to those that have joined, who run on.
  const shared = /^container:(.+)$/.exec(hostConfig.NetworkMode ?? '')?.[1];
  const other = shared === undefined ? undefined : engine.containers.find(shared);
  if (other !== undefined) return containerHostname(engine, other);
  const own = config.Hostname ?? '';
  return own === '' && networkKind(hostConfig.NetworkMode) === 'host' ? hostHostname() : own;
}

/** Names that others on user-defined networks find it by (moby, buildEndpointDNSNames). */
export function dnsNames({ id, name, config }: ContainerRecord, settings: EndpointSettings): string[] {
  const names = [name, ...(settings.Aliases ?? []), id.slice(0, 12), config.Hostname ?? ''];
  return [...new Set(names.filter((one) => one !== ''))];
}
