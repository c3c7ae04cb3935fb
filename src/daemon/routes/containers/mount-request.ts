/**
 * `HostConfig.Mounts` of create requests: their shape, and what older API versions mean by them. What a version does
 * not know is not read from its requests, and read-only binds are what they were then.
 */
import type { ContainerCreateRequest } from '../../../api/containers.ts';
import type { Mount } from '../../../api/mounts.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import type { Shape } from '../../shape.ts';

export const MOUNT: Shape = {
  object: {
    Type: 'string',
    Source: 'string',
    Target: 'string',
    ReadOnly: 'boolean',
    Consistency: 'string',
    BindOptions: {
      object: {
        Propagation: 'string',
        NonRecursive: 'boolean',
        CreateMountpoint: 'boolean',
        ReadOnlyNonRecursive: 'boolean',
        ReadOnlyForceRecursive: 'boolean',
        IDMap: 'string',
      },
    },
    VolumeOptions: {
      object: {
        NoCopy: 'boolean',
        Labels: { map: 'string' },
        DriverConfig: { object: { Name: 'string', Options: { map: 'string' } } },
        Subpath: 'string',
        IDMap: 'string',
      },
    },
    ImageOptions: { object: { Subpath: 'string' } },
    TmpfsOptions: {
      object: { SizeBytes: 'integer', Mode: 'integer', Options: { list: { list: 'string' } } },
    },
  },
};

/** The request as the client's version means it. Throws InvalidParameter with Docker's texts for what needs a newer one. */
export function adaptMounts(
  request: ContainerCreateRequest,
  atLeast: (version: string) => boolean,
): ContainerCreateRequest {
  const { HostConfig: host } = request;
  if ((host?.Mounts ?? []).length === 0) return request;
  const Mounts = host?.Mounts?.map((mount) => adaptMount(mount, atLeast)) ?? [];
  return { ...request, HostConfig: { ...host, Mounts } };
}

function adaptMount(mount: Mount, atLeast: (version: string) => boolean): Mount {
  if (mount.Type === 'image' && !atLeast('1.48')) {
    throw new InvalidParameterError('Mount type "Image" needs API v1.48 or newer');
  }
  if ((mount.VolumeOptions?.Subpath ?? '') !== '' && !atLeast('1.45')) {
    throw new InvalidParameterError('VolumeOptions.Subpath needs API v1.45 or newer');
  }
  if (!atLeast('1.42')) return adaptBind(withoutForeignOptions(mount), atLeast);
  refuseForeignOptions(mount);
  return adaptBind(mount, atLeast);
}

const OPTIONS = { VolumeOptions: 'volume', BindOptions: 'bind', TmpfsOptions: 'tmpfs' } as const;

function refuseForeignOptions(mount: Mount): void {
  for (const [field, type] of Object.entries(OPTIONS)) {
    if (mount[field as keyof typeof OPTIONS] && mount.Type !== type) {
      throw new InvalidParameterError(`${field} must not be specified on mount type "${mount.Type}"`);
    }
  }
}

/** Older daemons did not look at them. */
function withoutForeignOptions(mount: Mount): Mount {
  const adapted = { ...mount };
  if (mount.Type !== 'volume') delete adapted.VolumeOptions;
  if (mount.Type !== 'tmpfs') delete adapted.TmpfsOptions;
  return adapted;
}

function adaptBind(mount: Mount, atLeast: (version: string) => boolean): Mount {
  if (mount.Type !== 'bind') return mount;
  const options = { ...mount.BindOptions };
  if (!atLeast('1.40')) delete options.NonRecursive;
  if (!atLeast('1.42')) delete options.CreateMountpoint;
  if (!atLeast('1.44')) {
    options.ReadOnlyNonRecursive = mount.ReadOnly === true;
    delete options.ReadOnlyForceRecursive;
  }
  return Object.keys(options).length === 0 ? mount : { ...mount, BindOptions: options };
}
