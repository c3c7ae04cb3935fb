/**
 * Paths inside a container's filesystem, resolved by the kernel (openat2(2), RESOLVE_IN_ROOT) from a descriptor of its
 * root: whatever links a container has put there, nothing outside of it is reached. Its mounts are followed.
 */
import { closeSync, readlinkSync, statfsSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';

export const O_PATH = 0x200000;
export const O_DIRECTORY = 0x10000;
export const O_NOFOLLOW = 0x20000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_IN_ROOT = 0x10;

/** Filesystems that show the kernel and not files; what an archive would do to them, the whole host would feel. */
const KERNEL_FILESYSTEMS = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x1cd1, 'devpts'],
  [0x64626720, 'debugfs'],
  [0x74726163, 'tracefs'],
  [0x73636673, 'securityfs'],
  [0xcafe4a11, 'bpf'],
  [0x19800202, 'mqueue'],
]);

/** Opens a path inside the root. Throws with the kernel's errno. */
export function openInside(rootFd: number, path: string | Uint8Array, flags: number): number {
  const relative = path.length === 0 || path === '/' ? '.' : path;
  return addon().openat2(rootFd, relative, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/** Opens a child of a directory, which must not be a link. */
export function openChild(parentFd: number, name: Uint8Array, flags: number): number {
  const resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return addon().openat2(parentFd, name, flags | O_NOFOLLOW, 0, resolve);
}

/** A path to what a descriptor stands for, whatever is done to names meanwhile. */
export function byDescriptor(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** An entry of an open directory, as bytes; operations on it must not follow links. */
export function entryOf(directoryFd: number, name: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${byDescriptor(directoryFd)}/`), name]);
}

/** The absolute path, links resolved, that an open file or directory has inside the container. */
export function pathInside(rootFd: number, fd: number): string {
  const root = readlinkSync(byDescriptor(rootFd)).replace(/\/$/, '');
  const path = readlinkSync(byDescriptor(fd));
  return path.slice(root.length) || '/';
}

/** The name of the kernel's filesystem that a descriptor lies on; undefined for an ordinary one. */
export function kernelFilesystem(fd: number): string | undefined {
  return KERNEL_FILESYSTEMS.get(statfsSync(byDescriptor(fd)).type);
}

/** Throws InvalidParameter where a descriptor lies on one of the kernel's own filesystems. */
export function refuseKernelFilesystem(fd: number, path: string): void {
  const name = kernelFilesystem(fd);
  if (name === undefined) return;
  throw new InvalidParameterError(`${path} lies on ${name} in the container: nothing can be copied there`);
}

/** Calls `use` with an open descriptor and closes it. */
export function withDescriptor<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** The result of `open`; undefined where the path is not there. */
export function ifThere<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}
