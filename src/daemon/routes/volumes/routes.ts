/** Volumes of the local driver: made, listed, looked at, removed. */
import type { Volume, VolumeCreateRequest } from '../../../api/volumes.ts';
import { notImplemented, type Route } from '../../router.ts';
import { checkShape, type Shape } from '../../shape.ts';

export interface VolumesBackend {
  create(request: VolumeCreateRequest): Volume;
  get(name: string): Volume;
  list(): Volume[];
  references(name: string): string[];
  remove(name: string, force: boolean): Promise<void>;
}

const CREATE: Shape = {
  object: { Name: 'string', Driver: 'string', DriverOpts: { map: 'string' }, Labels: { map: 'string' } },
};

export function volumeRoutes(backend: VolumesBackend): Route[] {
  return [
    {
      method: 'GET',
      path: '/volumes',
      handle: (request, response) => {
        const { name, label, driver, dangling } = request.filters();
        const wantDangling = dangling?.map((text) => ['1', 'true'].includes(text));
        const Volumes = backend
          .list()
          .filter(
            (volume) =>
              (name === undefined || name.some((text) => volume.Name.includes(text))) &&
              (driver === undefined || driver.includes(volume.Driver)) &&
              (label ?? []).every((text) => hasLabel(volume.Labels ?? {}, text)) &&
              (wantDangling ?? []).every((flag) => flag === (backend.references(volume.Name).length === 0)),
          );
        response.json(200, { Volumes, Warnings: null });
      },
    },
    {
      method: 'POST',
      path: '/volumes/create',
      handle: async (request, response) => {
        const body = (await request.json()) ?? {};
        checkShape(body, CREATE, '');
        response.json(201, backend.create(body as VolumeCreateRequest));
      },
    },
    notImplemented('POST', '/volumes/prune'),
    {
      method: 'GET',
      path: '/volumes/{name}',
      handle: (request, response) => response.json(200, backend.get(request.param('name'))),
    },
    notImplemented('PUT', '/volumes/{name}'),
    {
      method: 'DELETE',
      path: '/volumes/{name}',
      handle: async (request, response) => {
        await backend.remove(request.param('name'), request.flag('force'));
        response.empty(204);
      },
    },
  ];
}

function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  return labels[key] !== undefined && (value === undefined || labels[key] === value);
}
