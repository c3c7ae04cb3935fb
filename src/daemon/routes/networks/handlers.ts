/** Handlers of the networks group (Engine API v1.51, "Network"). */
import type { Network } from '../../../api/networks.ts';
import { InvalidParameterError, NotFoundError } from '../../../base/errors.ts';
import type { Handler } from '../../router.ts';
import type { NetworksBackend } from './backend.ts';
import { listFilter } from './filter.ts';
import { checkNetworkConnect, checkNetworkCreate, checkNetworkDisconnect } from './request-shapes.ts';

export function networkHandlers(
  backend: NetworksBackend,
): Record<'list' | 'inspect' | 'create' | 'remove' | 'connect' | 'disconnect' | 'prune', Handler> {
  const withContainers = ({ Id }: Network): Network => backend.inspect(Id);
  return {
    list: (request, response) => {
      const inUse = (network: Network): boolean => Object.keys(withContainers(network).Containers).length > 0;
      const found = backend.list().filter(listFilter(request.filters(), inUse));
      // Clients of before 1.28 read the containers of a list.
      response.json(200, request.atLeast('1.28') ? found : found.map(withContainers));
    },

    inspect: (request, response) => {
      const reference = request.param('id');
      // Only clusters have more to tell; a wrong value is an error all the same.
      checkBoolean('verbose', request.text('verbose'));
      const network = backend.inspect(reference);
      const scope = request.text('scope');
      if (scope !== '' && scope !== network.Scope) throw new NotFoundError(`network ${reference} not found`);
      response.json(200, network);
    },

    create: async (request, response) => {
      const body = checkNetworkCreate(await request.json(), request.atLeast('1.48'));
      response.json(201, await backend.create(body));
    },

    remove: async (request, response) => {
      await backend.remove(request.param('id'));
      response.empty(204);
    },

    connect: async (request, response) => {
      const { container, settings } = checkNetworkConnect(await request.json());
      await backend.connect(container, request.param('id'), settings);
      response.empty(200);
    },

    disconnect: async (request, response) => {
      const { container, force } = checkNetworkDisconnect(await request.json());
      await backend.disconnect(container, request.param('id'), force);
      response.empty(200);
    },

    prune: async (request, response) => {
      response.json(200, await backend.prune(request.filters(), request.signal));
    },
  };
}

/** Go's strconv.ParseBool. */
function checkBoolean(name: string, text: string): void {
  if (/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)?$/.test(text)) return;
  throw new InvalidParameterError(
    `invalid value for ${name}: ${text}: strconv.ParseBool: parsing "${text}": invalid syntax`,
  );
}
