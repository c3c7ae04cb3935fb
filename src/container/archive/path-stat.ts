/**
 * What a path in a container stands for (Engine API, "Get information about files in a container"): links on the way
 * are followed inside the root, one at the end is not, unless a slash or `/.` stands behind it.
 */
import { closeSync, constants, fstatSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import type { ContainerPathStat } from '../../api/containers.ts';
import { NotFoundError } from '../../base/errors.ts';
import { byDescriptor, ifThere, O_DIRECTORY, O_NOFOLLOW, O_PATH, openInside, pathInside } from './inside.ts';

export interface FoundPath {
  /** O_PATH descriptor of what was found; the caller closes it. */
  fd: number;
  /** O_PATH descriptor of the folder that it stands in (of itself where it is a root or has a slash behind it). */
  parentFd: number;
  /** Its name in `parentFd`. */
  base: string;
  stat: ContainerPathStat;
  isDirectory: boolean;
}

/** Throws NotFound with Docker's text; `reference` is the container as the user named it. */
export function findPath(rootFd: number, path: string, reference: string): FoundPath {
  const clean = posix.normalize(`/${path}`).replace(/(.)\/$/, '$1');
  const follow = clean === '/' || path === '.' || /\/\.?$/.test(path);
  const missing = (): never => {
    throw new NotFoundError(`Could not find the file ${path} in container ${reference}`);
  };
  const flags = O_PATH | (follow ? O_DIRECTORY : O_NOFOLLOW);
  const fd = ifThere(() => openInside(rootFd, clean, flags)) ?? missing();
  try {
    const parent = ifThere(() =>
      openInside(rootFd, follow ? clean : posix.dirname(clean), O_PATH | O_DIRECTORY),
    );
    const parentFd = parent ?? missing();
    const base = follow ? '.' : posix.basename(clean);
    const { mode, size, mtimeNs } = fstatSync(fd, { bigint: true });
    const isLink = (Number(mode) & constants.S_IFMT) === constants.S_IFLNK;
    return {
      fd,
      parentFd,
      base,
      isDirectory: (Number(mode) & constants.S_IFMT) === constants.S_IFDIR,
      stat: {
        name: shownName(path, clean),
        size: Number(size),
        mode: goFileMode(Number(mode)),
        mtime: rfc3339(mtimeNs),
        linkTarget: isLink ? linkTarget(rootFd, parentFd, base) : '',
      },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The name by which archives and answers call it. */
function shownName(path: string, clean: string): string {
  if (path === '.' || path.endsWith('/.')) return '.';
  return clean === '/' ? '/' : posix.basename(clean);
}

/** Where a link leads, as an absolute path inside the container, also where nothing is there. */
function linkTarget(rootFd: number, parentFd: number, base: string): string {
  const folder = pathInside(rootFd, parentFd);
  const target = posix.resolve(folder, readlinkSync(`${byDescriptor(parentFd)}/${base}`));
  const fd = ifThere(() => openInside(rootFd, target, O_PATH));
  if (fd === undefined) return target;
  try {
    return pathInside(rootFd, fd);
  } finally {
    closeSync(fd);
  }
}

/** Go's os.FileMode: the bits above the permissions that its clients read. */
export function goFileMode(mode: number): number {
  const types = new Map<number, number>([
    [constants.S_IFDIR, 2 ** 31],
    [constants.S_IFLNK, 2 ** 27],
    [constants.S_IFBLK, 2 ** 26],
    [constants.S_IFIFO, 2 ** 25],
    [constants.S_IFSOCK, 2 ** 24],
    [constants.S_IFCHR, 2 ** 26 + 2 ** 21],
  ]);
  const special = [
    [0o4000, 2 ** 23],
    [0o2000, 2 ** 22],
    [0o1000, 2 ** 20],
  ] as const;
  const bits = special.reduce((sum, [bit, goBit]) => sum + ((mode & bit) === 0 ? 0 : goBit), 0);
  return (mode & 0o777) + (types.get(mode & constants.S_IFMT) ?? 0) + bits;
}

/** Go leaves zeros at the end of the fraction out. */
export function rfc3339(timeNs: bigint): string {
  const nanoseconds = ((timeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = Number((timeNs - nanoseconds) / 1_000_000_000n);
  const whole = new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, '');
  const fraction = String(nanoseconds).padStart(9, '0').replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`}Z`;
}
