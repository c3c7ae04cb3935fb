/** The networks that every host has: bridge, host and none. User-defined ones are not there yet. */
import type { Network } from '../../../api/networks.ts';
import { NotFoundError } from '../../../base/errors.ts';
import { notImplemented, type Route } from '../../router.ts';

export interface NetworksBackend {
  list(): Network[];
}

export function networkRoutes(backend: NetworksBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/networks',
      handle: (request, response) => {
        const { name, id, driver } = request.filters();
        const any = (values: string[] | undefined, text: string): boolean =>
          values === undefined || values.some((value) => text.includes(value));
        const found = backend
          .list()
          .filter((network) => any(name, network.Name) && any(id, network.Id) && any(driver, network.Driver));
        response.json(200, found);
      },
    },
    {
      method: 'GET',
      path: '/networks/{id}',
      handle: (request, response) => {
        const wanted = request.param('id');
        const networks = backend.list();
        const found =
          networks.find(({ Name, Id }) => Name === wanted || Id === wanted) ??
          networks.find(({ Id }) => wanted.length > 0 && Id.startsWith(wanted));
        if (found === undefined) throw new NotFoundError(`network ${wanted} not found`);
        response.json(200, found);
      },
    },
    notImplemented('DELETE', '/networks/{id}'),
    notImplemented('POST', '/networks/create'),
    notImplemented('POST', '/networks/prune'),
    notImplemented('POST', '/networks/{id}/connect'),
    notImplemented('POST', '/networks/{id}/disconnect'),
  ];
}
