/**
 * EROFS as the index uses it (Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h): where the fields of
 * the superblock, the device slots, inodes and directory entries lie, and the constants in them. An index has blocks of
 * 512 bytes, extended inodes only, attributes beside their inodes, and contents on extra devices: the layer's tar, and
 * the spill file of its sparse files.
 */

export const BLOCK_BYTES = 512;

/** Superblock: 128 bytes at 1024; all that is not named here is 0. Offsets are from its start. */
export const SUPER_OFFSET = 1024;
export const SUPER_BYTES = 128;
export const SUPER = {
  magic: 0,
  checksum: 4,
  featureCompat: 8,
  blockBits: 12,
  extraSlots: 13,
  rootNid: 14,
  inodeCount: 16,
  blocks: 36,
  metaBlock: 40,
  uuid: 48,
  featureIncompat: 80,
  deviceCount: 86,
  deviceSlot: 88,
} as const;

export const MAGIC = 0xe0f5e1e2;
export const BLOCK_BITS = 9;
/** SB_CHKSUM and MTIME. */
export const FEATURE_COMPAT = 0x1 | 0x2;
/** CHUNKED_FILE and DEVICE_TABLE. */
export const FEATURE_INCOMPAT = 0x4 | 0x8;
export const UUID_BYTES = 16;

/** A device slot: a tag (64 bytes, empty here), then the device's size in blocks. */
export const DEVICE_BYTES = 128;
export const DEVICE_BLOCKS = 64;
/** The device table follows the superblock at once. */
export const DEVICE_TABLE_SLOT = (SUPER_OFFSET + SUPER_BYTES) / DEVICE_BYTES;
/** The number of the root inode has 16 bits, and it stands behind the table of devices. */
export const DEVICES_MAX = 8192;

/** Extended inode: 64 bytes at `nid` times 32. Offsets are from its start. */
export const INODE_BYTES = 64;
export const NID_BYTES = 32;
export const INODE = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  size: 8,
  /** First block of flat data, device number, or the format of chunks. */
  union: 16,
  number: 20,
  uid: 24,
  gid: 28,
  mtime: 32,
  mtimeNsec: 40,
  links: 44,
  reserved: 48,
} as const;

/** i_format: bit 0 says extended, the layout of the data follows. */
const EXTENDED = 1;
export const FORMAT_FLAT = EXTENDED | (0 << 1);
export const FORMAT_INLINE = EXTENDED | (2 << 1);
export const FORMAT_CHUNKS = EXTENDED | (4 << 1);

/** Chunk indexes of 8 bytes: advise (2), device (2, from 1), first block (4). */
export const CHUNK_INDEXES = 0x20;
export const CHUNK_BITS_MASK = 0x1f;
export const CHUNK_INDEX_BYTES = 8;
/** A chunk covers at most 2^31 blocks: a terabyte. */
export const CHUNK_BITS_MAX = 31;
/** This one means a hole, so no device has so many. */
export const BLOCKS_MAX = 0xffff_ffff;

/**
 * A mark of our own, in the inode's last reserved byte, which no kernel reads: this directory is only implied by the
 * names of its children, and takes its attributes from the layers below. Never in a merged index.
 */
export const IMPLIED_OFFSET = 63;
export const IMPLIED_MARK = 0x4d;

/** Directory entry: nid (8), offset of the name in the block (2), type (1), reserved (1). */
export const DIRENT_BYTES = 12;
export const DIRENT = { nid: 0, nameOffset: 8, type: 10 } as const;
export const NAME_MAX = 255;
/** The longest target of a symbolic link, and the longest path. */
export const LINK_MAX = 4095;

/** File types in directory entries, by the type bits of a mode shifted down by 12. */
export const DIRENT_TYPES: Readonly<Record<number, number>> = { 8: 1, 4: 2, 2: 3, 6: 4, 1: 5, 12: 6, 10: 7 };

export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;

/** Data inside the metadata must not cross a block; so much always finds a place beside its inode. */
export const INLINE_MAX = 384;

/** The kernel's new_encode_dev(). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function deviceMajor(device: number): number {
  return (device >>> 8) & 0xfff;
}

export function deviceMinor(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}

export function alignUp(value: number, unit: number): number {
  const over = value % unit;
  return over === 0 ? value : value + unit - over;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** CRC32C without the final inversion, as the kernel's crc32c(~0, …). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return crc >>> 0;
}

/**
 * The superblock's checksum: over its whole block (blocks are smaller than 1024 bytes, so it begins with the
 * superblock), taken with the checksum itself as 0.
 */
export function superblockChecksum(index: Uint8Array): number {
  const block = Uint8Array.from(index.subarray(SUPER_OFFSET, SUPER_OFFSET + BLOCK_BYTES));
  block.fill(0, SUPER.checksum, SUPER.checksum + 4);
  return crc32c(block);
}
