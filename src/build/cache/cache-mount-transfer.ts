/**
 * The files of `RUN --mount=type=cache` in exported caches (`cache-mounts=true`): each mount that a build uses is a record
 * like that of a step, under a key made of what tells it from others, and its files are a layer: packed, checked and
 * unpacked as all layers are. Nothing of them is ever put over a cache that is there; one that begins with them stays, as
 * cache mounts do, for builds that were not given that cache as well.
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { diskUsage } from '../../base/disk-usage.ts';
import { errorMessage, InvalidParameterError } from '../../base/errors.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import type { ImageStore } from '../../image/store/image-store.ts';
import { copyTree, emptyDirectory, openDirectory } from '../../volume/copy-tree.ts';
import type { NewLayers } from '../new-layers.ts';
import type { ProgressVertex } from '../progress.ts';
import type { CacheLease, CacheMountRequest } from '../run/cache-mounts.ts';
import type { BuiltLayer, CacheMountUse, CacheTrail } from '../solve/solved.ts';
import type { WorkFolders } from '../source/work-folders.ts';

/** Of one mount's files; larger ones are left out. */
export const DEFAULT_MOUNT_BYTES = 1_000_000_000;

export interface CacheMountFolders {
  /** Of one that is there, used by nobody else until it is released; undefined where there is none. */
  borrow(
    request: Omit<CacheMountRequest, 'fill' | 'sharing'>,
    onWait: () => void,
    signal: AbortSignal,
  ): Promise<CacheLease | undefined>;
}

/** A key as steps have it. Whose socket the build came by is not part of it. */
export function cacheMountKey({ id, fromKey, mode, uid, gid }: CacheMountUse): string {
  return createHash('sha256')
    .update(JSON.stringify(['cache mount', id, fromKey, mode, uid, gid]))
    .digest('hex');
}

/** Bytes as `cache-mounts-size` says. Throws InvalidParameter for what is no number of them. */
export function readMountBytes(attributes: Readonly<Record<string, string>>): number {
  const text = attributes['cache-mounts-size'] ?? '';
  if (text === '') return DEFAULT_MOUNT_BYTES;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidParameterError(`invalid cache-mounts-size "${text}": expected a number of bytes`);
}

export interface CacheMountPacking {
  folders: CacheMountFolders;
  images: Pick<ImageStore, 'holdNew' | 'keepBlob'>;
  snapshotter: Pick<Snapshotter, 'commit'>;
  maxBytes: number;
  vertex: ProgressVertex;
  signal: AbortSignal;
}

/** Mounts as layers, until `release`. Those that are empty, too large or cannot be packed are left out, the latter with a warning. */
export async function packCacheMounts(
  packing: CacheMountPacking,
  mounts: readonly CacheMountUse[],
): Promise<{ trail: CacheTrail[]; release(): Promise<void> }> {
  const hold = packing.images.holdNew();
  const trail: CacheTrail[] = [];
  try {
    for (const mount of mounts) {
      const layer = await pack(packing, mount, hold).catch((error: unknown) => {
        packing.signal.throwIfAborted();
        leftOut(packing, mount, errorMessage(error));
        return undefined;
      });
      if (layer === undefined) continue;
      const key = cacheMountKey(mount);
      // No step has that definition: nobody looks for a step because of a mount.
      trail.push({ key, definition: key, aliases: [], layer });
    }
    return { trail, release: () => hold.release() };
  } catch (error) {
    await hold.release();
    throw error;
  }
}

async function pack(
  packing: CacheMountPacking,
  mount: CacheMountUse,
  newLayers: NewLayers,
): Promise<BuiltLayer | undefined> {
  const { folders, images, snapshotter, maxBytes, vertex, signal } = packing;
  const { scopedId, fromKey, mode, uid, gid, description } = mount;
  const wait = (): void => vertex.log(`waiting for the cache mount "${mount.id}", which a step uses\n`);
  const lease = await folders.borrow({ id: scopedId, fromKey, mode, uid, gid, description }, wait, signal);
  if (lease === undefined) return undefined;
  try {
    if (readdirSync(lease.path).length === 0) return undefined;
    const bytes = await diskUsage(lease.path);
    if (bytes > maxBytes) {
      leftOut(packing, mount, `it has ${bytes} bytes, and cache-mounts-size allows ${maxBytes}`);
      return undefined;
    }
    const committed = await snapshotter.commit(lease.path, signal, newLayers);
    return { ...(await images.keepBlob(committed)), sizeBytes: committed.sizeBytes };
  } finally {
    lease.release();
  }
}

function leftOut({ vertex }: Pick<CacheMountPacking, 'vertex'>, { id }: CacheMountUse, reason: string): void {
  vertex.warn({ rule: '', message: `cache mount "${id}" is not exported: ${reason}` });
}

/** Copies the files of a layer that is here into an empty folder; leaves that empty where it fails. */
export async function unpackCacheMount(
  { snapshotter, work }: { snapshotter: Snapshotter; work: Pick<WorkFolders, 'create'> },
  { diffId }: BuiltLayer,
  { directory, maxBytes, signal }: { directory: string; maxBytes: number; signal: AbortSignal },
): Promise<void> {
  const { sizeBytes = 0 } = snapshotter.layer(diffId) ?? {};
  if (sizeBytes > maxBytes) {
    throw new InvalidParameterError(`it has ${sizeBytes} bytes, and cache-mounts-size allows ${maxBytes}`);
  }
  const folder = work.create();
  const target = join(folder.path, 'root');
  mkdirSync(target);
  try {
    await snapshotter.mount({ layers: [], above: [diffId], target });
    try {
      await copyInto(target, directory, signal);
    } finally {
      await snapshotter.unmount(target);
    }
  } finally {
    await folder.release();
  }
}

async function copyInto(source: string, directory: string, signal: AbortSignal): Promise<void> {
  const from = openDirectory(source);
  let to: number | undefined;
  try {
    to = openDirectory(directory);
    await copyTree(from, to, { signal });
  } catch (error) {
    if (to !== undefined) emptyDirectory(to);
    throw error;
  } finally {
    closeSync(from);
    if (to !== undefined) closeSync(to);
  }
}
