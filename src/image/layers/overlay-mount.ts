/**
 * Root filesystems with overlayfs: one mount over the directories of unpacked layers, or over one mounted image.
 */
import { close, constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';

const MOUNT_ATTR_RDONLY = 0x1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** Not among Node's constants. The same on all architectures that are built for. */
const O_PATH = 0o10000000;

/** What opening says of a path where nothing can be mounted by this driver. */
const NO_DIRECTORY = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/**
 * Redirects, metadata copies and the index would make upper directories that only this mount can read; a layer that
 * brings their attributes along must not be believed either.
 */
const OPTIONS = ['redirect_dir=nofollow', 'metacopy=off', 'index=off'];

export interface OverlayMount {
  /** Base first. The same one may appear several times. */
  lowers: readonly string[];
  /** Two empty directories, for images of fewer layers than overlayfs takes. */
  empties?: readonly [string, string];
  upper: string | undefined;
  work: string | undefined;
  /** See `MountRequest`. Of one with an upper directory alone. */
  volatile?: boolean | undefined;
  target: string;
}

/** Without upper and work the mount is read-only. */
export function mountOverlay(mount: OverlayMount): void {
  if (mount.work !== undefined) forgetVolatile(mount.work);
  if (mount.upper === undefined || mount.volatile !== true) {
    mountWith(mount, OPTIONS);
    return;
  }
  try {
    mountWith(mount, [...OPTIONS, 'volatile']);
  } catch (error) {
    // Linux before 5.10 does not know the option.
    if (errnoCode(error) !== 'EINVAL') throw error;
    mountWith(mount, OPTIONS);
  }
}

function mountWith(mount: OverlayMount, options: string[]): void {
  const writable = mount.upper !== undefined;
  const lowers = topmostFirst(mount.lowers);
  /* One lower is enough below an upper directory, a read-only overlay needs two. */
  const missing = (writable ? 1 : 2) - lowers.length;
  lowers.push(...(mount.empties ?? []).slice(0, Math.max(missing, 0)));
  addon().mountOverlay({
    lowers,
    upper: mount.upper ?? '',
    work: mount.work ?? '',
    target: mount.target,
    options,
    attributes: writable ? 0 : MOUNT_ATTR_RDONLY,
  });
}

/** The mark of an earlier volatile mount, with which overlayfs refuses any other: it cannot know what was lost. */
function forgetVolatile(work: string): void {
  rmSync(join(work, 'work', 'incompat'), { recursive: true, force: true });
}

/**
 * overlayfs takes no directory twice. Of a layer that appears several times the topmost counts: it says again all
 * that the lower ones say.
 */
function topmostFirst(lowers: readonly string[]): string[] {
  return [...new Set(lowers.toReversed())];
}

/**
 * Unmounts; where something still uses the mount, it is detached and goes when that ends. Letting go of a file system
 * takes long when much of it was read, and happens off this thread: it is done when the call resolves.
 */
export async function unmount(target: string): Promise<void> {
  let fd: number;
  try {
    fd = openSync(target, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    const code = errnoCode(error) ?? '';
    if (NO_DIRECTORY.has(code)) return;
    /* To unmount takes no descriptor: only this thread then waits. */
    if (code !== 'EMFILE' && code !== 'ENFILE') throw error;
    detach(target);
    return;
  }
  try {
    detach(target);
  } finally {
    /* The last user of the mount: what it held is given back on the thread that closes. */
    await new Promise<void>((resolve, reject) => {
      close(fd, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
  }
}

function detach(target: string): void {
  try {
    addon().unmount(target, UMOUNT_NOFOLLOW | MNT_DETACH);
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'EINVAL' && code !== 'ENOENT') throw error;
  }
}

/** The same at once, on this thread. */
export function unmountSync(target: string): void {
  detach(target);
}
