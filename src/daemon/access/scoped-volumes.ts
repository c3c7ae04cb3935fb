/** Volumes as one scoped socket has them: those with its labels, made of nothing but space of the engine's. */
import type { VolumeCreateRequest } from '../../api/volumes.ts';
import { ConflictError } from '../../base/errors.ts';
import type { VolumesBackend } from '../routes/volumes/backend.ts';
import type { VolumeSnapshotsBackend, VolumeTransfersBackend } from '../routes/volumes/transfer.ts';
import { unknownFieldOf } from './create-policy.ts';
import { beyond } from './guard.ts';
import { foreignLabel } from './scoped-containers.ts';
import { showsHost, type VisibleObjects } from './visible.ts';

export function scopedVolumes(engine: VolumesBackend, visible: VisibleObjects): VolumesBackend {
  const name = (given: string): string => visible.volume(given).Name;
  return {
    create: (request) => engine.create(limitCreate(request, visible)),
    get: (given) => engine.get(name(given)),
    list: () => engine.list().filter((one) => visible.hasVolume(one)),
    references: (given) => {
      const own = visible.containerIds();
      return engine.references(given).filter((id) => own.has(id));
    },
    remove: async (given, force) => {
      // As for the engine: a volume that does not exist is none to complain about then.
      if (force && (!visible.volumeExists(given) || visible.volumeIsForeign(given))) return;
      await engine.remove(name(given), force);
    },
    prune: (matches, signal) =>
      engine.prune((volume) => visible.hasVolume(volume) && matches(volume), signal),
  };
}

const CREATE_FIELDS: ReadonlySet<string> = new Set<keyof VolumeCreateRequest>([
  ...(['Name', 'Driver', 'DriverOpts', 'Labels'] as const),
]);

function limitCreate(request: VolumeCreateRequest, visible: VisibleObjects): VolumeCreateRequest {
  const unknown = unknownFieldOf(request, CREATE_FIELDS, '');
  if (unknown !== undefined) throw beyond(visible.scope, unknown);
  if (showsHost(request.DriverOpts)) {
    throw beyond(
      visible.scope,
      'a volume with these options',
      'they mount something of the host or the network',
    );
  }
  requireOwnName(request.Name ?? '', visible);
  return { ...request, Labels: ownLabels(request.Labels, visible) };
}

function requireOwnName(name: string, visible: VisibleObjects): void {
  if (name === '' || !visible.volumeIsForeign(name)) return;
  throw new ConflictError(`create ${name}: a volume of that name already exists outside of the socket`);
}

function ownLabels(
  labels: Record<string, string> | null | undefined,
  visible: VisibleObjects,
): Record<string, string> {
  const own = visible.scope.withLabels(labels);
  if (own === undefined) throw foreignLabel(visible);
  return own;
}

export function scopedTransfers(
  engine: VolumeTransfersBackend,
  visible: VisibleObjects,
): VolumeTransfersBackend {
  const inside = (given: string): string => visible.volumeToEnter(given).Name;
  return {
    export: async (given, compression, begin, signal) =>
      await engine.export(inside(given), compression, begin, signal),
    import: async (given, archive, options, signal) =>
      await engine.import(inside(given), archive, options, signal),
    clone: async (given, { Name, Labels }, signal) => {
      requireOwnName(Name, visible);
      const source = visible.volumeToEnter(given);
      return await engine.clone(
        source.Name,
        { Name, Labels: ownLabels(Labels ?? source.Labels, visible) },
        signal,
      );
    },
  };
}

export function scopedSnapshots(
  engine: VolumeSnapshotsBackend,
  visible: VisibleObjects,
): VolumeSnapshotsBackend {
  const inside = (given: string): string => visible.volumeToEnter(given).Name;
  return {
    list: (given) => engine.list(visible.volume(given).Name),
    create: async (given, name, signal) => await engine.create(inside(given), name, signal),
    restore: async (given, name, force, signal) => await engine.restore(inside(given), name, force, signal),
    remove: async (given, name) => await engine.remove(inside(given), name),
  };
}
