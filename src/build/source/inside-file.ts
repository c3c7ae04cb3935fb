/** Small texts inside of trees that strangers made: resolved by the kernel below the tree's root, regular files alone. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { ifThere, O_DIRECTORY, O_PATH, openInside, readableFile } from '../../native/inside-root.ts';

/** Of Dockerfiles and ignore files. */
export const TEXT_MAX_BYTES = 16 * 1024 * 1024;

/** Undefined where there is no regular file of that name. Throws InvalidParameter for one of more than 16 MiB. */
export function readInside(root: string, path: string): string | undefined {
  const rootFd = openSync(root, O_PATH | O_DIRECTORY);
  try {
    const pathFd = ifThere(() => openInside(rootFd, path, O_PATH));
    const fd = pathFd === undefined ? undefined : readableFile(pathFd);
    if (fd === undefined) return undefined;
    try {
      const { size } = fstatSync(fd);
      if (size > TEXT_MAX_BYTES) {
        throw new InvalidParameterError(`${path} has ${size} bytes, more than ${TEXT_MAX_BYTES}`);
      }
      return readFileSync(fd).toString('utf8');
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(rootFd);
  }
}

/** Whether a folder of this machine is the one that has these numbers for whoever named it. */
export function isFolder(path: string, identity: { device: bigint; inode: bigint }): boolean {
  const fd = ifThere(() => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  if (fd === undefined) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return dev === identity.device && ino === identity.inode;
  } finally {
    closeSync(fd);
  }
}
