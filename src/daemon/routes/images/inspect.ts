/** `GET /images/{name}/json`: everything about one image, in the form of the request's API version. */
import type { ImageInspect } from '../../../api/images.ts';
import type { Image } from '../../../image/store/image-store.ts';
import type { ApiRequest } from '../../request.ts';
import type { ImagesBackend } from './backend.ts';

/** Fields of `Config` that are there also where the image says nothing of them. */
const CONFIG_DEFAULTS = {
  Cmd: null,
  Entrypoint: null,
  Env: null,
  Labels: null,
  OnBuild: null,
  User: '',
  Volumes: null,
  WorkingDir: '',
};

/** Further ones before API 1.50: settings of containers that images never had. */
const OLD_CONFIG_DEFAULTS = {
  AttachStderr: false,
  AttachStdin: false,
  AttachStdout: false,
  Domainname: '',
  Hostname: '',
  Image: '',
  OpenStdin: false,
  StdinOnce: false,
  Tty: false,
};

/** Fields of an image's `config` that are shown, where they are set. */
const CONFIG_FIELDS = [
  'ArgsEscaped',
  'Cmd',
  'Entrypoint',
  'Env',
  'ExposedPorts',
  'Healthcheck',
  'Labels',
  'OnBuild',
  'Shell',
  'StopSignal',
  'User',
  'Volumes',
  'WorkingDir',
] as const;

export function inspectImage(
  backend: ImagesBackend,
  image: Image,
  request: Pick<ApiRequest, 'atLeast' | 'flag'>,
): unknown {
  const { config } = image;
  const inspection: ImageInspect = {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent ?? '',
    Comment: config.history.at(-1)?.comment ?? '',
    ...(image.createdAt === '' ? {} : { Created: image.createdAt }),
    DockerVersion: text(config['docker_version']),
    Author: config.author ?? '',
    Config: shownConfig(image, request) as ImageInspect['Config'],
    Architecture: image.architecture,
    ...(image.variant === '' ? {} : { Variant: image.variant }),
    Os: image.os,
    ...(config['os.version'] === undefined ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    GraphDriver: { Name: backend.driver, Data: null },
    RootFS: { Type: 'layers', ...(image.diffIds.length === 0 ? {} : { Layers: image.diffIds }) },
    Metadata: { LastTagTime: image.lastTaggedAt === '' ? '0001-01-01T00:00:00Z' : image.lastTaggedAt },
  };
  return { ...inspection, ...manifestFields(backend, image, request), ...oldFields(image, request) };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Sorted by name, as Docker's is. */
function shownConfig(image: Image, request: Pick<ApiRequest, 'atLeast'>): Record<string, unknown> {
  const { config } = image.config;
  const own = CONFIG_FIELDS.filter((name) => isSet(config[name])).map((name) => [name, config[name]]);
  const all = {
    ...CONFIG_DEFAULTS,
    ...(request.atLeast('1.50') ? {} : OLD_CONFIG_DEFAULTS),
    ...Object.fromEntries(own),
  };
  return Object.fromEntries(Object.entries(all).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

/** Go leaves empty values of such fields out. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function manifestFields(
  backend: ImagesBackend,
  image: Image,
  request: Pick<ApiRequest, 'atLeast' | 'flag'>,
): Pick<ImageInspect, 'Descriptor' | 'Manifests'> {
  if (!request.atLeast('1.48')) return {};
  const containers = backend.containersByImage();
  const { target, manifests } = backend.manifests(image, (id) => containers.get(id) ?? []);
  return {
    ...(target === undefined ? {} : { Descriptor: target }),
    ...(request.flag('manifests') ? { Manifests: manifests } : {}),
  };
}

/** What newer clients do not get: `VirtualSize` and a time for images without one before 1.44, the build's container before 1.45. */
function oldFields(image: Image, request: Pick<ApiRequest, 'atLeast'>): Record<string, unknown> {
  const { container, container_config: containerConfig } = image.config;
  return {
    ...(request.atLeast('1.45')
      ? {}
      : { Container: text(container), ContainerConfig: containerConfig ?? null }),
    ...(request.atLeast('1.44') ? {} : { VirtualSize: image.sizeBytes }),
    ...(request.atLeast('1.44') || image.createdAt !== '' ? {} : { Created: '0001-01-01T00:00:00Z' }),
  };
}
