/** Image operations that answer with one status and one body. */
import type { Filters } from '../../../api/filters.ts';
import type { ImageInspect, ImageSummary } from '../../../api/images.ts';
import { InvalidParameterError, NotImplementedError } from '../../../base/errors.ts';
import type { Image } from '../../../image/image-store.ts';
import type { Handler } from '../../router.ts';
import type { ImagesBackend } from './backend.ts';
import { imageFilter, shownNames } from './filter.ts';

export function imageHandlers(
  backend: ImagesBackend,
): Record<'list' | 'inspect' | 'tag' | 'remove', Handler> {
  return {
    list: (request, response) => {
      const filters: Filters = request.filters();
      // Old clients name a repository by `filter`.
      const name = request.text('filter');
      if (name !== '') filters['reference'] = [...(filters['reference'] ?? []), name];
      const matches = imageFilter(backend, filters);
      const parents = new Set(backend.list().map(({ parent }) => parent));
      const shown = backend
        .list()
        .filter(
          (image) =>
            request.flag('all') ||
            image.repoTags.length + image.repoDigests.length > 0 ||
            !parents.has(image.id),
        )
        .filter(matches)
        .sort((left, right) => unixSeconds(right.createdAt) - unixSeconds(left.createdAt));
      response.json(
        200,
        shown.map((image) => summary(backend, image, filters)),
      );
    },

    inspect: (request, response) => {
      if (request.flag('manifests'))
        throw new NotImplementedError('image inspect: manifests are not implemented');
      response.json(200, inspection(backend, backend.resolve(request.param('name'))));
    },

    tag: (request, response) => {
      const repository = request.text('repo');
      if (repository === '')
        throw new InvalidParameterError('invalid reference format: repository name is empty');
      const tag = request.text('tag');
      backend.tag(request.param('name'), tag === '' ? repository : `${repository}:${tag}`);
      response.empty(201);
    },

    remove: async (request, response) => {
      const removed = await backend.remove(request.param('name'), {
        force: request.flag('force'),
        noPrune: request.flag('noprune'),
      });
      response.json(200, removed);
    },
  };
}

export function summary(backend: ImagesBackend, image: Image, filters: Filters): ImageSummary {
  return {
    Containers: backend.containersOf(image.id),
    Created: unixSeconds(image.createdAt),
    Id: image.id,
    Labels: image.config.config.Labels ?? null,
    ParentId: image.parent ?? '',
    RepoDigests: shownNames(image.repoDigests, filters),
    RepoTags: shownNames(image.repoTags, filters),
    SharedSize: -1,
    Size: image.sizeBytes,
  };
}

function inspection(backend: ImagesBackend, image: Image): ImageInspect {
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent ?? '',
    Comment: lastComment(image),
    ...(image.createdAt === '' ? {} : { Created: image.createdAt }),
    DockerVersion: typeof config['docker_version'] === 'string' ? config['docker_version'] : '',
    Author: config.author ?? '',
    Config: config.config as NonNullable<ImageInspect['Config']>,
    Architecture: image.architecture,
    ...(image.variant === '' ? {} : { Variant: image.variant }),
    Os: image.os,
    ...(config['os.version'] === undefined ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    GraphDriver: { Name: backend.driver, Data: null },
    RootFS: { Type: 'layers', ...(image.diffIds.length === 0 ? {} : { Layers: image.diffIds }) },
    Metadata: { LastTagTime: image.lastTaggedAt === '' ? '0001-01-01T00:00:00Z' : image.lastTaggedAt },
  };
}

function lastComment(image: Image): string {
  return image.config.history?.at(-1)?.comment ?? '';
}

function unixSeconds(time: string): number {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}
