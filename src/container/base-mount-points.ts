/**
 * The places in every root filesystem that a container's own mounts stand on: /proc, /sys, /dev and the network's
 * three files. Images may lack them. They are made with fixed times before the runtime would make them, and as long
 * as they are empty they count neither as a change of the container nor as a part of a committed layer, so that the
 * same work gives the same layer.
 */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { errnoCode } from '../base/errors.ts';
import { addon } from '../native/addon.ts';
import { byDescriptor, ifThere, O_DIRECTORY, O_NOFOLLOW, O_PATH, openInside } from './archive/inside.ts';

const FOLDERS = ['/dev', '/etc', '/proc', '/sys'];
const FILES = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/** Makes what is missing in a mounted root. What stands there, also as a link, is left to the runtime. */
export function makeBaseMountPoints(rootfs: string): void {
  const root = openSync(rootfs, O_PATH | O_DIRECTORY);
  try {
    for (const path of [...FOLDERS, ...FILES]) makeOne(root, path);
  } finally {
    closeSync(root);
  }
}

function makeOne(root: number, path: string): void {
  const there = ifThere(() => openInside(root, path, O_PATH | O_NOFOLLOW));
  if (there !== undefined) {
    closeSync(there);
    return;
  }
  const parent = ifThere(() => openInside(root, posix.dirname(path), constants.O_RDONLY | O_DIRECTORY));
  if (parent === undefined) return;
  try {
    const { mtimeNs } = fstatSync(parent, { bigint: true });
    const entry = `${byDescriptor(parent)}/${posix.basename(path)}`;
    if (FILES.includes(path)) {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | O_NOFOLLOW;
      closeSync(openSync(entry, flags, 0o644));
    } else mkdirSync(entry, 0o755);
    addon().setTimes(entry, 0, 0);
    addon().setTimes(
      `${byDescriptor(parent)}/.`,
      Number(mtimeNs / 1_000_000_000n),
      Number(mtimeNs % 1_000_000_000n),
    );
  } catch (error) {
    // A root that cannot be written to is the runtime's to judge.
    if (!['EROFS', 'EEXIST', 'ENOSPC', 'EDQUOT'].includes(errnoCode(error) ?? '')) throw error;
  } finally {
    closeSync(parent);
  }
}

/** Those that an upper directory holds, empty, and that the image's own tree lacks. Parents before what they hold. */
export function emptyBaseMountPoints(upper: string, lower: string): string[] {
  const lowerRoot = openSync(lower, O_PATH | O_DIRECTORY);
  try {
    const empty: string[] = [];
    for (const path of [...FILES, ...FOLDERS]) {
      const there = ifThere(() => openInside(lowerRoot, path, O_PATH | O_NOFOLLOW));
      if (there !== undefined) closeSync(there);
      else if (isEmpty(upper, path, empty)) empty.push(path);
    }
    return empty.sort();
  } finally {
    closeSync(lowerRoot);
  }
}

/** /etc may hold the three files. */
function isEmpty(upper: string, path: string, known: readonly string[]): boolean {
  const place = join(upper, path);
  if (lstatSync(join(upper, posix.dirname(path)), { throwIfNoEntry: false })?.isDirectory() !== true)
    return false;
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (FILES.includes(path)) return stat.isFile() && stat.size === 0;
  return stat.isDirectory() && readdirSync(place).every((name) => known.includes(`${path}/${name}`));
}
