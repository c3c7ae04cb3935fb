/** Puts the network routes' engine together: networks, the containers on them, and the events that tell of both. */
import type { Filters } from '../api/filters.ts';
import type { EndpointSettings, Network, NetworkPruneResponse } from '../api/networks.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { Networking, NetworkRecord } from '../network/model.ts';
import type { NetworksBackend } from './routes/networks/backend.ts';
import { pruneFilter } from './routes/networks/filter.ts';

export interface NetworkParts {
  networks: Networking;
  /** Tell of what they did by events themselves. */
  engine: {
    connectNetwork(reference: string, network: string, settings: EndpointSettings): Promise<void>;
    disconnectNetwork(reference: string, network: string, force: boolean): Promise<void>;
  };
  events: EventBus;
}

export function composeNetworks({ networks, engine, events }: NetworkParts): NetworksBackend {
  const tell = (action: string, { id, name, driver }: NetworkRecord): void =>
    events.publish('network', action, id, { name, type: driver });
  const remove = async (reference: string): Promise<void> => {
    const record = networks.find(reference);
    await networks.remove(record.id);
    tell('destroy', record);
  };
  return {
    create: async (request) => {
      const made = await networks.create(request);
      tell('create', networks.find(made.Id));
      return made;
    },
    list: () => networks.list(),
    inspect: (reference) => networks.inspect(reference),
    remove,
    connect: (container, network, settings) => engine.connectNetwork(container, network, settings),
    disconnect: (container, network, force) => engine.disconnectNetwork(container, network, force),
    prune: (filters, signal) => prune(filters, signal, { networks, events, remove }),
  };
}

interface PruneParts {
  networks: Networking;
  events: EventBus;
  remove: (reference: string) => Promise<void>;
}

/** A network that cannot be removed is logged and stays. */
async function prune(
  filters: Filters,
  signal: AbortSignal,
  { networks, events, remove }: PruneParts,
): Promise<NetworkPruneResponse> {
  const matches = pruneFilter(filters);
  const deleted: string[] = [];
  for (const { Id, Name } of networks.list().filter(matches)) {
    if (signal.aborted) break;
    try {
      if (hasContainers(networks.inspect(Id))) continue;
      await remove(Id);
      deleted.push(Name);
    } catch (error) {
      log.warn({ network: Name, error: errorMessage(error) }, 'cannot prune a network');
    }
  }
  events.publish('network', 'prune', '', { reclaimed: '0' });
  return { NetworksDeleted: deleted.length === 0 ? null : deleted };
}

function hasContainers({ Containers }: Network): boolean {
  return Object.keys(Containers).length > 0;
}
