/**
 * A file tree as the comparison sees it: directories to list, regular files to read, and, where a storage driver
 * knows it, which content is the same without reading it. Paths are byte strings relative to the root, '' the root
 * itself. What is not there, or not of the wanted kind, is undefined; a tree may change while it is read.
 */
import type { ByteString } from '../layers/tar/byte-string.ts';
import type { TarXattr } from '../layers/tar/tar-format.ts';

export interface TreeEntry {
  name: ByteString;
  /** S_IFMT bits. */
  format: number;
  /** Permission bits with set-ID and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a regular file; 0 for all else. */
  size: number;
  mtimeSec: number;
  mtimeNsec: number;
  major: number;
  minor: number;
  /** Target of a symbolic link, else empty. */
  link: ByteString;
  /** Sorted by name, overlayfs's own and those of this host left out. */
  xattrs: readonly TarXattr[];
  /** Set where the file has several names: the same for all of them, within its tree. */
  inode: string | undefined;
  /** Files of two trees with the same one have the same content. */
  contentIdentity: string | undefined;
}

export interface TreeFile {
  readonly sizeBytes: number;
  /** Fills `buffer` from `position` on as far as the file goes; the number of bytes. */
  read(buffer: Uint8Array, position: number): number;
  close(): void;
}

export interface ImageTree {
  /** A directory's entries in any order; no part of the path may be a link. */
  list(path: ByteString): TreeEntry[] | undefined;
  /** A regular file; no part of the path may be a link. */
  open(path: ByteString): TreeFile | undefined;
  /** A regular file, by a path in which links count: they lead to places inside the tree. */
  find(path: ByteString): TreeFile | undefined;
  /** The names in a directory, by such a path. */
  names(path: ByteString): ByteString[] | undefined;
  close(): void;
}

/** At most `limitBytes` from the start of a file, which it closes; `cut` where there was more. */
export function readBounded(file: TreeFile, limitBytes: number): { data: Buffer; cut: boolean } {
  try {
    const data = Buffer.alloc(Math.min(file.sizeBytes, limitBytes));
    const length = file.read(data, 0);
    return { data: data.subarray(0, length), cut: file.sizeBytes > limitBytes };
  } finally {
    file.close();
  }
}

export function childPath(directory: ByteString, name: ByteString): ByteString {
  return (directory === '' ? name : `${directory}/${name}`) as ByteString;
}
