/**
 * One EROFS mount of an image and its devices: straight from the files where the kernel can (Linux 6.12, and a file
 * system below that reads through the page cache), else from loop devices, which clear themselves when the mount goes.
 */
import { closeSync, existsSync } from 'node:fs';
import { errorMessage, InternalError } from '../../../base/errors.ts';
import { addon } from '../../../native/addon.ts';

const MOUNT_ATTR_RDONLY = 0x1;

/** As `info` names them. */
export type MountMethod = 'file-backed' | 'loop devices';

export interface ImageFiles {
  image: string;
  /** In the order of the image's device table; the same file may stand there several times. */
  devices: readonly string[];
}

/** Mounts at an existing directory. A failure leaves nothing behind; what the kernel says of it is in the message. */
export function mountImage(method: MountMethod, files: ImageFiles, target: string): void {
  try {
    if (method === 'file-backed') mountFiles(files.image, files.devices, target);
    else mountLoops(files, target);
  } catch (error) {
    /* The kernel does not name it. */
    const missing = [files.image, ...files.devices].find((path) => !existsSync(path));
    const reason = missing === undefined ? errorMessage(error) : `${missing} is missing`;
    throw new InternalError(`cannot mount the image at ${target}: ${reason}`, error);
  }
}

function mountFiles(source: string, devices: readonly string[], target: string): void {
  const attributes = MOUNT_ATTR_RDONLY;
  addon().mountErofs({ source, devices: [...devices], target, options: [], attributes });
}

function mountLoops({ image, devices }: ImageFiles, target: string): void {
  const attached = new Map<string, { fd: number; device: string }>();
  try {
    for (const path of [image, ...devices]) {
      if (!attached.has(path)) attached.set(path, addon().loopAttach(path, false));
    }
    const deviceOf = (path: string): string => attached.get(path)?.device ?? '';
    mountFiles(deviceOf(image), devices.map(deviceOf), target);
  } finally {
    /* The mount keeps them now; without one they are free again. */
    for (const { fd } of attached.values()) closeSync(fd);
  }
}
