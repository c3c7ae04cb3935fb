/**
 * The daemon's own mounts below its exec root. Containers' mounts are kept from spreading: on hosts whose root is
 * shared (systemd's default), every mount below a folder would be copied into all other mount namespaces and would
 * keep file systems busy there.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errnoCode, InternalError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { addon } from '../native/addon.ts';
import { O_PATH } from '../native/inside-root.ts';

const MS_RDONLY = 0x1;
const MS_NOSUID = 0x2;
const MS_NODEV = 0x4;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 0x2;

/** Makes `directory` a private mount of itself, once; an earlier daemon's stays. */
export function keepMountsPrivate(directory: string): void {
  makeDirectory(directory, 0o700);
  if (isMountPoint(realpathSync(directory))) return;
  addon().mount(directory, directory, '', MS_BIND, '');
  addon().mount('', directory, '', MS_PRIVATE, '');
}

/**
 * Makes `source` reachable at `target` through a read-only mount. A supervisor that is executed from there cannot be
 * overwritten by its container through /proc/PID/exe, and need not make such a mount itself. Replaces an earlier
 * daemon's, unless that is of the same file; supervisors that run from it go on.
 */
export function mountReadOnly(source: string, target: string): void {
  if (isReadOnlyMountOf(source, target)) return;
  unmountAll(target);
  writeFileSync(target, '', { mode: 0o700 });
  addon().mount(source, target, '', MS_BIND, '');
  addon().mount('', target, '', MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, '');
}

function isReadOnlyMountOf(source: string, target: string): boolean {
  const [own, there] = [statSync(source), statSync(target, { throwIfNoEntry: false })];
  if (there === undefined || there.dev !== own.dev || there.ino !== own.ino) return false;
  if (!isMountPoint(realpathSync(target))) return false;
  try {
    accessSync(target, constants.W_OK);
  } catch (error) {
    return errnoCode(error) === 'EROFS';
  }
  // Whoever made it was interrupted.
  return false;
}

/** Takes every mount away that lies on `path`; what uses them goes on. */
export function unmountAll(path: string): void {
  if (!existsSync(path)) return;
  while (isMountPoint(realpathSync(path))) addon().unmount(path, MNT_DETACH);
}

/** The kernel's table also names mounts that others hide; what a path leads to tells only of those on top. */
function isMountPoint(path: string): boolean {
  return mountId(path) !== mountId(dirname(path));
}

/** proc_pid_fdinfo(5). */
function mountId(path: string): string {
  const fd = openSync(path, O_PATH);
  try {
    const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    if (id === undefined) throw new InternalError(`/proc/self/fdinfo does not tell the mount of ${path}`);
    return id;
  } finally {
    closeSync(fd);
  }
}
