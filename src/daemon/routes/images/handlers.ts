/** Image operations that answer with one status and one body. */
import type { ImagePruneResponse } from '../../../api/images.ts';
import { InvalidParameterError, NotFoundError } from '../../../base/errors.ts';
import { configPlatform } from '../../../image/image-config.ts';
import { formatPlatform } from '../../../image/platform.ts';
import type { Image } from '../../../image/store/image-store.ts';
import type { Handler } from '../../router.ts';
import type { ImagesBackend } from './backend.ts';
import { pruneFilter } from './filter.ts';
import { imageHistory } from './history.ts';
import { inspectImage } from './inspect.ts';
import { listImages } from './list.ts';
import { decodePlatform } from './platform.ts';

export function imageHandlers(
  backend: ImagesBackend,
): Record<'list' | 'inspect' | 'history' | 'tag' | 'remove' | 'prune', Handler> {
  return {
    list: (request, response) => response.json(200, listImages(backend, request)),

    inspect: (request, response) => {
      const platform = request.atLeast('1.49') ? request.text('platform') : '';
      if (platform !== '' && request.flag('manifests')) {
        throw new InvalidParameterError(
          'conflicting options: manifests and platform options cannot both be set',
        );
      }
      const image = imageFor(backend, request.param('name'), platform);
      response.json(200, inspectImage(backend, image, request));
    },

    history: (request, response) => {
      const platform = request.atLeast('1.48') ? request.text('platform') : '';
      response.json(200, imageHistory(backend, imageFor(backend, request.param('name'), platform)));
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
      const name = request.param('name');
      const platforms = request.atLeast('1.50') ? request.query.getAll('platforms') : [];
      if (platforms.length > 1) throw new InvalidParameterError('multiple platforms are not supported');
      const image = imageFor(backend, name, platforms[0] ?? '');
      // The name stands for the image of one platform; others of its index have none of their own.
      const removed = await backend.remove(image.id === backend.resolve(name).id ? name : image.id, {
        force: request.flag('force'),
        noPrune: request.flag('noprune'),
      });
      response.json(200, removed);
    },

    prune: async (request, response) => {
      const filter = pruneFilter(request.filters());
      const { removed, freedBytes } = await backend.prune({ ...filter, signal: request.signal });
      const answer: ImagePruneResponse = {
        ImagesDeleted: removed.length === 0 ? null : removed,
        SpaceReclaimed: freedBytes,
      };
      response.json(200, answer);
    },
  };
}

/** The image of a name, or of its index, that is for the platform (JSON; empty for any). Throws NotFound without one. */
function imageFor(backend: ImagesBackend, name: string, platform: string): Image {
  const wanted = platform === '' ? undefined : decodePlatform(platform);
  const image = backend.resolve(name);
  if (wanted === undefined) return image;
  const fitting = backend.forPlatform(image, wanted);
  if (fitting !== undefined) return fitting;
  const own = configPlatform(image.config);
  throw new NotFoundError(
    `image with reference ${name} was found but its platform (${formatPlatform(own)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}
