/**
 * Paths inside a container's filesystem, resolved by the kernel (openat2(2), RESOLVE_IN_ROOT) from a descriptor of its
 * root: whatever links a container has put there, nothing outside of it is reached. Its mounts are followed.
 */
import { closeSync, readlinkSync, statfsSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { byDescriptor } from '../../native/inside-root.ts';

export {
  byDescriptor,
  ifThere,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  openChild,
  openInside,
} from '../../native/inside-root.ts';

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
