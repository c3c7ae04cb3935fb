/**
 * The places in every root filesystem that a container's own mounts stand on: /proc, /sys, /dev and the network's
 * three files. Images may lack them. They are made with fixed times before the runtime would make them, and as long
 * as they are empty they count neither as a change of the container nor as a part of a committed layer, so that the
 * same work gives the same layer.
 */
import { closeSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { addon } from '../native/addon.ts';
import { ifThere, O_DIRECTORY, O_NOFOLLOW, O_PATH, openInside } from './archive/inside.ts';

const FOLDERS = ['/dev', '/etc', '/proc', '/sys'];
const FILES = ['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'];

/**
 * Makes what is missing in a mounted root, as `owner`'s. What stands there, also as a link, is left to the runtime, and so
 * is the judgement about a root that cannot be written to.
 */
export async function makeBaseMountPoints(rootfs: string, owner = { uid: 0, gid: 0 }): Promise<void> {
  await addon().makeMountPoints(rootfs, FOLDERS, FILES, owner.uid, owner.gid);
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
