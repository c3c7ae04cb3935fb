/**
 * A part of a volume or image, mounted at a place of its own, so that it stays the same folder or file whatever a
 * container does with the names in there in the meantime.
 */
import { closeSync, fstatSync, lstatSync, mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { InvalidParameterError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { addon } from '../native/addon.ts';
import { at, O_PATH, openInRoot } from './copy-tree.ts';
import { mountedOn } from './volume-mounts.ts';

const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;

export interface Part {
  /** Of what it is a part, for messages: `volume` or `image`, and its name. */
  type: string;
  name: string;
  subpath: string;
}

/**
 * Mounts what `subpath` names in `root`, links resolved inside it, at `target`, which is made. Throws InvalidParameter
 * where there is nothing.
 */
export function mountPart(root: string | number, { type, name, subpath }: Part, target: string): void {
  let fd: number;
  try {
    fd = openInRoot(root, subpath, O_PATH);
  } catch (error) {
    throw new InvalidParameterError(`cannot access subpath "${subpath}" of ${type} ${name}`, error);
  }
  try {
    makeDirectory(dirname(target), 0o700);
    if (fstatSync(fd).isDirectory()) mkdirSync(target, { mode: 0o700 });
    else writeFileSync(target, '', { mode: 0o600 });
    addon().mount(at(fd).toString(), target, '', MS_BIND | MS_REC, '');
    // Or else its end would be the end of mounts below the original too.
    addon().mount('', target, '', MS_PRIVATE | MS_REC, '');
  } finally {
    closeSync(fd);
  }
}

/** Undoes it; not mounted is no error. The part itself is never touched. */
export function unmountPart(target: string): void {
  while (mountedOn(target).length > 0) addon().unmount(target, MNT_DETACH | UMOUNT_NOFOLLOW);
  const stat = lstatSync(target, { throwIfNoEntry: false });
  if (stat?.isDirectory()) rmdirSync(target);
  else rmSync(target, { force: true });
}
