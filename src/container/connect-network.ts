/**
 * `network connect` and `network disconnect`: a running container gets or loses the interface at once, and the record
 * says which networks later runs are on (moby, ConnectToNetwork and DisconnectFromNetwork).
 */

import type { EndpointSettings } from '../api/networks.ts';
import {
  ConflictError,
  EngineError,
  errorMessage,
  ForbiddenError,
  InvalidParameterError,
  NotFoundError,
} from '../base/errors.ts';
import { log } from '../base/log.ts';
import { step, stepSync } from '../base/steps.ts';
import type { NetworkRecord } from '../network/model.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { tellLinkAddresses } from './links.ts';
import { networksOfRun, tellConnected, tellDisconnected, tryFindNetwork } from './network.ts';
import { refreshNetworkFiles } from './network-files.ts';
import { networkKind } from './network-mode.ts';
import { judgeSettings, requestedSettings, requireCompatible, settingsOn } from './requested-networks.ts';

/** The caller holds the mutex. Throws NotFound, InvalidParameter, Forbidden where it is on it, Conflict. */
export async function connectNetwork(
  engine: EngineContext,
  container: Container,
  reference: string,
  asked: EndpointSettings,
): Promise<void> {
  const { record } = container;
  requireNotRemoving(container);
  const network = engine.networks.find(reference);
  requireCompatible(record.hostConfig.NetworkMode, networksOfRun(engine, container), network);
  const settings = requestedSettings(asked);
  judgeSettings(engine.networks, network, settings, '');
  const before = Object.hasOwn(record.networks, network.name) ? record.networks[network.name] : undefined;
  if (!container.running) {
    // As with Docker, a stopped container that is on it already is no error; what is asked for anew counts.
    if (before === undefined || Object.keys(settings).length > 0) {
      storeNetwork(container, network.name, settingsOn(network, settings, asked.NetworkID));
    }
    return;
  }
  if (before !== undefined) {
    throw new ForbiddenError(`endpoint with name ${record.name} already exists in network ${network.name}`);
  }
  if (network.driver === 'null') {
    storeNetwork(container, network.name, settings);
  } else {
    await connectLive(engine, container, network, settings);
  }
  tellConnected(engine, container, network);
}

async function connectLive(
  engine: EngineContext,
  container: Container,
  network: NetworkRecord,
  settings: EndpointSettings,
): Promise<void> {
  const { record } = container;
  const before = record.sandbox;
  const sandbox = await step('connect/network', container.id, () =>
    engine.networks.connect(container.id, network.id, settings),
  );
  record.sandbox = sandbox;
  try {
    storeNetwork(container, network.name, { ...settings, NetworkID: network.id });
  } catch (error) {
    record.sandbox = await engine.networks.disconnect(container.id, network.id);
    throw error;
  }
  if (before === null) return;
  stepSync('connect/files', container.id, () => refreshNetworkFiles(engine, container, before));
  if (network.name === 'bridge') tellLinkAddresses(engine, container);
}

/**
 * The caller holds the mutex. With `force` a network that exists no more is taken out of a running container's record.
 * Throws NotFound, InvalidParameter, Forbidden where it is not on it, Conflict.
 */
export async function disconnectNetwork(
  engine: EngineContext,
  container: Container,
  reference: string,
  force: boolean,
): Promise<void> {
  const { record } = container;
  requireNotRemoving(container);
  const network = tryFindNetwork(engine, reference);
  if (!container.running || (network === undefined && force)) {
    const name = storedName(container, network, reference);
    if (name === undefined) {
      throw new ForbiddenError(`container ${container.id} is not connected to the network ${reference}`);
    }
    storeNetwork(container, name, undefined);
    return;
  }
  if (network === undefined) throw new NotFoundError(`network ${reference} not found`);
  if (networkKind(record.hostConfig.NetworkMode) === 'host' && network.driver === 'host') {
    throw new InvalidParameterError(
      'cannot disconnect container from host network - container was created in host network mode',
    );
  }
  const name = storedName(container, network, reference);
  if (name === undefined && !isLiveOn(container, network)) {
    throw new ForbiddenError(`container ${container.id} is not connected to network ${network.name}`);
  }
  if (isLiveOn(container, network)) await disconnectLive(engine, container, network, force);
  if (name !== undefined) storeNetwork(container, name, undefined);
  tellDisconnected(engine, container, network.id);
}

async function disconnectLive(
  engine: EngineContext,
  container: Container,
  network: NetworkRecord,
  force: boolean,
): Promise<void> {
  const { record } = container;
  const before = record.sandbox;
  try {
    record.sandbox = await step('disconnect/network', container.id, () =>
      engine.networks.disconnect(container.id, network.id),
    );
  } catch (error) {
    // Without an endpoint there is nothing that a forced disconnect could leave behind.
    if (!force || !(error instanceof EngineError) || error.kind !== 'Forbidden' || before === null)
      throw error;
    record.sandbox = {
      ...before,
      endpoints: before.endpoints.filter(({ networkId }) => networkId !== network.id),
    };
  }
  if (before !== null) {
    stepSync('disconnect/files', container.id, () => refreshNetworkFiles(engine, container, before));
  }
}

function isLiveOn({ record }: Container, { id }: NetworkRecord): boolean {
  return record.sandbox?.endpoints.some(({ networkId }) => networkId === id) === true;
}

function requireNotRemoving({ id, record }: Container): void {
  if (record.state.status !== 'removing') return;
  throw new ConflictError(
    `Container ${id} is marked for removal and cannot be connected or disconnected to the network`,
  );
}

/** Under which name the record has a network; undefined where it has not. */
function storedName(
  { record }: Container,
  network: NetworkRecord | undefined,
  reference: string,
): string | undefined {
  if (network !== undefined) return Object.hasOwn(record.networks, network.name) ? network.name : undefined;
  return Object.entries(record.networks).find(
    ([name, settings]) => name === reference || settings.NetworkID === reference,
  )?.[0];
}

/** Puts a network into the record, or takes it out. Throws where that cannot be stored, and changes nothing then. */
function storeNetwork(container: Container, name: string, settings: EndpointSettings | undefined): void {
  const before = container.record.networks;
  const { [name]: _, ...others } = before;
  container.record.networks = settings === undefined ? others : { ...others, [name]: settings };
  try {
    const label = settings === undefined ? 'disconnect/record' : 'connect/record';
    stepSync(label, container.id, () => container.save());
  } catch (error) {
    container.record.networks = before;
    log.error(
      { container: container.id, network: name, error: errorMessage(error) },
      'cannot store a network',
    );
    throw error;
  }
}
