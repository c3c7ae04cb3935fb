/**
 * Attributes of an entry as the kernel takes them when they are set on a file (xattr(7), fs/xattr.c): which are left
 * out, which are refused, and what an access control list does to the mode. An index holds only what could have been
 * set, so that an image is the same in both drivers, and the kernel never finds a list that it cannot read.
 */
import { getSystemErrorMessage } from 'node:util';
import type { Refuse } from '../entry-rules.ts';
import type { TarXattr } from '../tar/tar-format.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './format.ts';
import { isStorable, XATTR_BODY_MAX, XATTR_VALUE_MAX, type Xattr } from './xattr-body.ts';

const EACCES = 13;
const EINVAL = 22;
const E2BIG = 7;
const ERANGE = 34;

export interface SetXattrs {
  xattrs: Xattr[];
  /** Type and permission bits, as an access control list leaves them. */
  mode: number;
}

/** Sets `added` on an inode of type and permissions `mode` that has `present`. */
export function setXattrs(
  present: readonly Xattr[],
  added: readonly TarXattr[],
  mode: number,
  refuse: Refuse,
): SetXattrs {
  const set = new Map(present.map((xattr) => [xattr.name, xattr]));
  let newMode = mode;
  for (const xattr of added) {
    const { name, value } = xattr;
    const fail = (errno: number) => refuse(`setxattr ${name}: ${getSystemErrorMessage(-errno)}`);
    if (name === '') throw fail(ERANGE);
    if (value.length > XATTR_VALUE_MAX) throw fail(E2BIG);
    if (!isStorable(name) || !isSettable(name, mode)) continue;
    if (name.endsWith('.') && name.indexOf('.') === name.length - 1) throw fail(EINVAL);
    if (name === 'security.capability' && !isCapability(value)) throw fail(EINVAL);
    if (name.startsWith('system.')) {
      const list = parseAcl(value);
      if (list === undefined) throw fail(EINVAL);
      const isAccess = name === 'system.posix_acl_access';
      if (!isAccess && list.length > 0 && (mode & S_IFMT) !== S_IFDIR) throw fail(EACCES);
      if (isAccess && list.length > 0) newMode = (newMode & ~0o777) | aclMode(list);
      /* A list that says no more than the mode is not kept. */
      if (list.length === 0 || (isAccess && list.length === 3)) {
        set.delete(name);
        continue;
      }
    }
    set.set(name, xattr);
  }
  const xattrs = [...set.values()];
  const bytes = xattrs.reduce((sum, { name, value }) => sum + name.length + value.length + 8, 12);
  if (bytes > XATTR_BODY_MAX) throw refuse(`${bytes} bytes of extended attributes are too many`);
  return { xattrs, mode: newMode };
}

/** User attributes are kept off all but files and directories, access control lists off links. */
function isSettable(name: string, mode: number): boolean {
  const type = mode & S_IFMT;
  if (name.startsWith('user.')) return type === S_IFREG || type === S_IFDIR;
  return !name.startsWith('system.') || type !== S_IFLNK;
}

/** struct vfs_cap_data of version 2, or 3 with the user namespace's root. */
function isCapability(value: Uint8Array): boolean {
  const revision = value[3];
  return (value.length === 20 && revision === 2) || (value.length === 24 && revision === 3);
}

interface AclEntry {
  tag: number;
  permissions: number;
}

const ACL_VERSION = 2;
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
const ACL = { userObject: 1, user: 2, groupObject: 4, group: 8, mask: 16, other: 32 } as const;
/** The tags in the order that they must have, and whether they may repeat. */
const ACL_ORDER: readonly number[] = Object.values(ACL);

/** POSIX_ACL_XATTR (linux/posix_acl_xattr.h), checked as posix_acl_valid() does; undefined where it is none. */
function parseAcl(value: Uint8Array): AclEntry[] | undefined {
  if (value.length === 0) return [];
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < ACL_HEADER_BYTES || bytes.readUInt32LE(0) !== ACL_VERSION) return undefined;
  if ((bytes.length - ACL_HEADER_BYTES) % ACL_ENTRY_BYTES !== 0) return undefined;
  const list: AclEntry[] = [];
  let place = 0;
  for (let at = ACL_HEADER_BYTES; at < bytes.length; at += ACL_ENTRY_BYTES) {
    const [tag, permissions] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)];
    const found = ACL_ORDER.indexOf(tag);
    const named = tag === ACL.user || tag === ACL.group;
    const repeats = found === place - 1 && named;
    if (found < 0 || permissions > 7 || !(found >= place || repeats)) return undefined;
    if (named && bytes.readUInt32LE(at + 4) === 0xffff_ffff) return undefined;
    place = found + 1;
    list.push({ tag, permissions });
  }
  const has = (tag: number) => list.some((entry) => entry.tag === tag);
  if (list.length === 0) return list;
  if (!has(ACL.userObject) || !has(ACL.groupObject) || !has(ACL.other)) return undefined;
  return (has(ACL.user) || has(ACL.group)) && !has(ACL.mask) ? undefined : list;
}

/** The permission bits of a list: with a mask, the group's are the mask's. */
function aclMode(list: readonly AclEntry[]): number {
  const of = (tag: number) => list.find((entry) => entry.tag === tag)?.permissions;
  const group = of(ACL.mask) ?? of(ACL.groupObject) ?? 0;
  return ((of(ACL.userObject) ?? 0) << 6) | (group << 3) | (of(ACL.other) ?? 0);
}
