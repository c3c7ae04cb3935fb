/**
 * What every driver asks of an entry of a layer, whatever it makes of it: owners and devices in range, targets of links,
 * and which attributes are taken. Names are entry-path.ts's matter.
 */
import type { InvalidParameterError } from '../../base/errors.ts';
import { type ByteString, printable } from './tar/byte-string.ts';
import { cleanPath } from './tar/entry-path.ts';
import type { TarEntry, TarXattr } from './tar/tar-format.ts';

/** Makes the error that refuses the entry, naming it. */
export type Refuse = (text: string) => InvalidParameterError;

/** The largest ID; the next one means "no change" to chown(2). */
const ID_MAX = 0xffff_fffe;
/** overlayfs's own attributes: set by the driver alone, never taken from an archive. */
const FOREIGN_XATTR = /^(?:trusted|user)\.overlay\./;
const XATTR_NAME_MAX = 255;

export function checkNumbers(entry: TarEntry, refuse: Refuse): void {
  if (entry.uid > ID_MAX || entry.gid > ID_MAX) {
    throw refuse(`owner ${entry.uid}:${entry.gid} is out of range`);
  }
  if (entry.deviceMajor > ID_MAX || entry.deviceMinor > ID_MAX) {
    throw refuse(`device ${entry.deviceMajor}:${entry.deviceMinor} is out of range`);
  }
}

/** The target: a symbolic link's as it is, a hard link's below the root; null for all else. */
export function linkTarget(entry: TarEntry, refuse: Refuse): ByteString | null {
  if (entry.type !== 'symlink' && entry.type !== 'hardlink') return null;
  if (entry.linkName === '') throw refuse('a link without a target');
  if (entry.type === 'symlink') return entry.linkName;
  const target = cleanPath(entry.linkName);
  if (target === undefined || target === '') {
    throw refuse(`hard link to ${printable(entry.linkName)}, outside of the layer's root`);
  }
  return target;
}

/** The attributes that are set, in the archive's order. */
export function acceptedXattrs(entry: TarEntry, refuse: Refuse): readonly TarXattr[] {
  if (entry.xattrs.length === 0) return entry.xattrs;
  for (const { name } of entry.xattrs) {
    if (name.length > XATTR_NAME_MAX || name.includes('\0'))
      throw refuse('invalid name of an extended attribute');
  }
  return entry.xattrs.filter(({ name }) => !FOREIGN_XATTR.test(name));
}

/** overlayfs's whiteout, as archives of its upper directories have it. */
export function isWhiteoutDevice(entry: TarEntry): boolean {
  return entry.type === 'character' && entry.deviceMajor === 0 && entry.deviceMinor === 0;
}

/** A hard link whose target is not there, in the words of every driver. */
export function missingTarget(entry: TarEntry): string {
  return `hard link to ${printable(entry.linkName)}, which is not in this layer`;
}
