/**
 * Files of a mapped root as those inside see them, and back: IDs, access lists (acl(5)), and file capabilities, which
 * name root of a namespace (capabilities(7), "Namespaced file capabilities").
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { rootOf, toContainer, toHost, type UserMapping } from '../../oci/user-mappings.ts';
import { byteString } from './tar/byte-string.ts';
import type { TarXattr } from './tar/tar-format.ts';

/** What IDs look like that a user namespace does not have (/proc/sys/kernel/overflowuid). */
const NOBODY = 65_534;

const CAPABILITY = 'security.capability';
/** struct vfs_cap_data: a word with version and flags, two pairs of sets; version 3 adds the ID of root. */
const VERSION_2 = 0x0200_0000;
const VERSION_3 = 0x0300_0000;
const VERSION_MASK = 0xff00_0000;
const VERSION_2_BYTES = 20;
const VERSION_3_BYTES = 24;

const ACCESS_LISTS = ['system.posix_acl_access', 'system.posix_acl_default'];
/** linux/posix_acl_xattr.h: a version, then entries of tag, permissions and ID, which counts in two tags alone. */
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;

/** What of a file depends on who looks at it. */
interface Owned {
  uid?: number;
  gid?: number;
  xattrs?: readonly TarXattr[];
}

export class InsideOwners {
  readonly #mapping: UserMapping;

  constructor(mapping: UserMapping) {
    this.#mapping = mapping;
  }

  /** A file as the container sees it. What the container has no ID for is nobody's. */
  inside<T extends Owned>(file: T): T & Required<Owned> {
    const { uid = 0, gid = 0, xattrs = [] } = file;
    return {
      ...file,
      uid: toContainer(this.#mapping.uids, uid) ?? NOBODY,
      gid: toContainer(this.#mapping.gids, gid) ?? NOBODY,
      xattrs: xattrs.map((xattr) => this.#accessListOut(this.#capabilityOut(xattr))),
    };
  }

  /** An entry's owner as the host numbers it. Throws InvalidParameter where the container does not have it. */
  outside({ uid, gid }: { uid: number; gid: number }, name: string): { uid: number; gid: number } {
    const owner = { uid: toHost(this.#mapping.uids, uid), gid: toHost(this.#mapping.gids, gid) };
    if (owner.uid !== undefined && owner.gid !== undefined) return { uid: owner.uid, gid: owner.gid };
    throw new InvalidParameterError(
      `${name} belongs to ${uid}:${gid}, which the container's user namespace does not have`,
    );
  }

  /** Throws InvalidParameter where an access list names somebody whom the container does not have. */
  xattrsOutside<T extends { name: string; value: Uint8Array }>(xattrs: readonly T[]): T[] {
    return xattrs.map((xattr) => {
      if (xattr.name === CAPABILITY) return { ...xattr, value: this.#capabilityIn(xattr.value) };
      if (!ACCESS_LISTS.includes(xattr.name)) return xattr;
      return { ...xattr, value: mapAccessList(xattr.value, (kind, id) => this.#listedOutside(kind, id)) };
    });
  }

  #listedOutside(kind: 'uids' | 'gids', id: number): number {
    const mapped = toHost(this.#mapping[kind], id);
    if (mapped !== undefined) return mapped;
    throw new InvalidParameterError(
      `an access list (ACL) names the ${kind === 'uids' ? 'user' : 'group'} ${id}, which the container's user namespace does not have`,
    );
  }

  #accessListOut(xattr: TarXattr): TarXattr {
    if (!ACCESS_LISTS.some((name) => xattr.name === byteString(name))) return xattr;
    const inside = (kind: 'uids' | 'gids', id: number): number =>
      toContainer(this.#mapping[kind], id) ?? NOBODY;
    return { ...xattr, value: mapAccessList(xattr.value, inside) };
  }

  /** Capabilities of the container's root are those of root in the archive. */
  #capabilityOut(xattr: TarXattr): TarXattr {
    const value = Buffer.from(xattr.value);
    if (xattr.name !== byteString(CAPABILITY) || value.length !== VERSION_3_BYTES) return xattr;
    const magic = value.readUInt32LE(0);
    if (value.readUInt32LE(VERSION_2_BYTES) !== rootOf(this.#mapping).uid) return xattr;
    if ((magic & VERSION_MASK) >>> 0 !== VERSION_3) return xattr;
    const plain = Buffer.from(value.subarray(0, VERSION_2_BYTES));
    plain.writeUInt32LE((VERSION_2 | (magic & ~VERSION_MASK)) >>> 0, 0);
    return { ...xattr, value: plain };
  }

  #capabilityIn(value: Uint8Array): Uint8Array {
    if (value.length !== VERSION_2_BYTES) return value;
    const owned = Buffer.alloc(VERSION_3_BYTES);
    owned.set(value);
    owned.writeUInt32LE((VERSION_3 | (owned.readUInt32LE(0) & ~VERSION_MASK)) >>> 0, 0);
    owned.writeUInt32LE(rootOf(this.#mapping).uid, VERSION_2_BYTES);
    return owned;
  }
}

function mapAccessList(value: Uint8Array, map: (kind: 'uids' | 'gids', id: number) => number): Buffer {
  const mapped = Buffer.from(value);
  for (let at = ACL_HEADER_BYTES; at + ACL_ENTRY_BYTES <= mapped.length; at += ACL_ENTRY_BYTES) {
    const tag = mapped.readUInt16LE(at);
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    const id = mapped.readUInt32LE(at + 4);
    mapped.writeUInt32LE(map(tag === ACL_USER ? 'uids' : 'gids', id), at + 4);
  }
  return mapped;
}
