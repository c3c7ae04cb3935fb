/** `GET /images/json`: the summaries of the images that a client's filters let through, newest first. */
import type { Filters } from '../../../api/filters.ts';
import type { ImageSummary } from '../../../api/images.ts';
import type { DiffID } from '../../../image/digest.ts';
import type { ListedImage } from '../../../image/store/image-store.ts';
import type { ApiRequest } from '../../request.ts';
import type { ImagesBackend } from './backend.ts';
import { createdMs, type ListFilter, listFilter } from './filter.ts';

export interface ListOptions {
  /** Images without a name that others were built on too. */
  all?: boolean;
  filters?: Filters;
  sharedSize?: boolean;
  manifests?: boolean;
}

/** The list as the request asks for it, in the form of its API version. */
export function listImages(backend: ImagesBackend, request: ApiRequest): unknown[] {
  const filters: Filters = request.filters();
  const name = request.atLeast('1.41') ? '' : request.text('filter');
  if (name !== '') filters['reference'] = [...(filters['reference'] ?? []), name];
  const summaries = summarizeImages(backend, {
    all: request.flag('all'),
    filters,
    sharedSize: request.atLeast('1.42') && request.flag('shared-size'),
    manifests: request.atLeast('1.47') && request.flag('manifests'),
  });
  return summaries.map((summary) => forVersion(summary, request));
}

/** Throws InvalidParameter for filters that are none, NotFound for an image that bounds the list. */
export function summarizeImages(backend: ImagesBackend, options: ListOptions = {}): ImageSummary[] {
  const filter = listFilter(backend, options.filters ?? {});
  const images = backend.list();
  const parents = new Set(images.map(({ parent }) => parent));
  const containers = backend.containersByImage();
  const sharedBytes = options.sharedSize ? sharedSizes(backend) : undefined;
  return images
    .filter((image) => options.all || isNamed(image) || !parents.has(image.id))
    .filter((image) => filter.matches(image))
    .map((image) => ({ image, ms: createdMs(image) }))
    .sort((left, right) => right.ms - left.ms)
    .map(({ image, ms }) => ({
      Containers: containers.get(image.id)?.length ?? 0,
      Created: Math.floor(ms / 1000),
      Id: image.id,
      Labels: image.labels ?? null,
      ParentId: image.parent ?? '',
      ...names(image, filter),
      SharedSize: sharedBytes?.get(image.id) ?? -1,
      Size: image.sizeBytes,
      ...(options.manifests ? manifests(backend, image, containers) : {}),
    }));
}

function isNamed({ repoTags, repoDigests }: ListedImage): boolean {
  return repoTags.length + repoDigests.length > 0;
}

function names(image: ListedImage, filter: ListFilter): Pick<ImageSummary, 'RepoDigests' | 'RepoTags'> {
  return { RepoDigests: filter.shownNames(image.repoDigests), RepoTags: filter.shownNames(image.repoTags) };
}

function manifests(
  backend: ImagesBackend,
  { id }: ListedImage,
  containers: ReadonlyMap<string, readonly string[]>,
): Pick<ImageSummary, 'Descriptor' | 'Manifests'> {
  const image = backend.tryResolve(id);
  if (image === undefined) return {};
  const found = backend.manifests(image, (imageId) => containers.get(imageId) ?? []);
  return {
    ...(found.target === undefined ? {} : { Descriptor: found.target }),
    Manifests: found.manifests,
  };
}

/** The bytes of an image's layers that other images have as well. */
function sharedSizes(backend: ImagesBackend): Map<string, number> {
  const layers = backend.layersByImage();
  const users = new Map<DiffID, number>();
  for (const diffIds of layers.values()) {
    for (const diffId of new Set(diffIds)) users.set(diffId, (users.get(diffId) ?? 0) + 1);
  }
  const sizes = new Map<DiffID, number>();
  for (const [diffId, count] of users) if (count > 1) sizes.set(diffId, backend.layerSizeBytes(diffId));
  const sum = (diffIds: readonly DiffID[]): number =>
    diffIds.reduce((total, diffId) => total + (sizes.get(diffId) ?? 0), 0);
  return new Map([...layers].map(([id, diffIds]) => [id, sum(diffIds)]));
}

/** What older clients read in other ways: `<none>` names to 1.42, `VirtualSize` to 1.43, no container counts to 1.50. */
function forVersion(summary: ImageSummary, request: ApiRequest): unknown {
  const { Descriptor, ...rest } = summary;
  const unnamed = summary.RepoTags.length + summary.RepoDigests.length === 0;
  return {
    ...rest,
    ...(Descriptor !== undefined && request.atLeast('1.48') ? { Descriptor } : {}),
    ...(request.atLeast('1.51') ? {} : { Containers: -1 }),
    ...(request.atLeast('1.44') ? {} : { VirtualSize: summary.Size }),
    ...(request.atLeast('1.43') || !unnamed
      ? {}
      : { RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] }),
  };
}
