/**
 * The contract between the engine and a storage driver: layers in, mounted root filesystems out. Two drivers stand
 * behind it, `overlay` (each layer unpacked into a directory) and `erofs` (each layer an indexed tar); both pass the
 * suite in snapshotter-suite.ts.
 *
 * A layer is named by its diffID and knows nothing of its parents, so layers of one image arrive in any order and in
 * parallel. An image's file system is the list of its layers, base first. A container adds an upper directory.
 *
 * Walked through: pulling an image of two layers calls `add` twice, at the same time. `run` makes upper and work
 * directories and calls `mount({layers: [a, b], upper, work, target})`; the container writes; `unmount(target)`.
 * Build reads what was written: `commit(upper)` makes layer c from it, and the new image is [a, b, c]. A COPY needs no
 * container: `create` makes its layer from entries. `remove(b)` after its last image is gone frees the disk.
 */
import type { Readable } from 'node:stream';
import type { DiffID, Digest } from '../digest.ts';
import type { MountOwners } from './mapped-mounts.ts';
import type { ByteString } from './tar/byte-string.ts';
import type { TarType } from './tar/tar-format.ts';
import type { TreeFile, TreeFileRun } from './tree-content.ts';
import type { GrowingFile } from './work/growing-file.ts';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

export interface LayerSource {
  /** The layer as the registry gave it, verified already unless it is `growing`. */
  blobPath: string;
  /**
   * The blob is still being written: it is stored while it comes, as far as its file reaches, and `add` resolves only
   * once it is whole and verified. Where it is lost, `add` fails with its SourceLostError.
   */
  growing?: GrowingFile;
  /** `detect` goes by the first bytes, which registries get right more often than media types. */
  compression: LayerCompression | 'detect';
  /** What the uncompressed tar must hash to. `add` fails with InvalidParameter, naming both, where it does not. */
  diffId: DiffID;
  /** Compressed bytes consumed so far; called at most every 100 ms, and once at the end. */
  onProgress?: (consumedBytes: number) => void;
}

export interface LayerInfo {
  diffId: DiffID;
  /** Sum of the sizes of the regular files, as Docker reports image sizes. */
  sizeBytes: number;
  /** Length of the exact tar, where the driver keeps it (`keepsTars`). */
  tarSizeBytes?: number;
}

/**
 * A compressed layer: path to a temporary file that the caller moves (it lies on the data root's file system, and is
 * not synced yet) or deletes; its digest and length.
 */
export interface LayerBlob {
  path: string;
  digest: Digest;
  sizeBytes: number;
}

export interface CommittedLayer extends LayerInfo {
  /**
   * Undefined from drivers that keep every layer's exact tar (`keepsTars`): they compress nothing before somebody
   * pushes it. Such a layer is on the disk when the call returns.
   */
  blob?: LayerBlob;
}

export interface BlobOptions {
  /** How the blob of a new layer is compressed, where one is made; the same bytes every time. Default gzip. */
  compression?: LayerCompression;
  /**
   * Called once the layer is there, before anybody else can take one of the same content away: from then on it is to be
   * held (`ImageStore.holdNew`) by whoever is to make something of it.
   */
  onStored?: (diffId: DiffID) => void;
}

export interface TarOptions extends BlobOptions {
  /**
   * `files`: the tar is an archive of files for a while, not a layer of an image. Names that mean something in layers are
   * refused, and so is what expands beyond reason; it gets no blob, and is not flushed to the disk. Default `layer`.
   */
  contents?: 'layer' | 'files';
}

export interface CommitOptions extends BlobOptions {
  /** Absolute paths in the directory that are left out, with all below them. */
  exclude?: readonly string[];
}

/** One entry of a layer that is made by `create`. Names are relative to the root; text is UTF-8. */
export interface LayerEntry {
  name: string | Uint8Array;
  type: TarType;
  /** Permission bits with set-ID and sticky; default 0644, directories 0755. */
  mode?: number;
  /** Default 0. */
  uid?: number;
  gid?: number;
  /** Bytes that the content will have: needed where that is a stream, else taken from the content. */
  size?: number;
  /** Default 0. */
  mtimeSec?: number;
  mtimeNsec?: number;
  /** Target of a hard or symbolic link. */
  linkName?: string | Uint8Array;
  deviceMajor?: number;
  deviceMinor?: number;
  xattrs?: readonly { name: string; value: Uint8Array }[];
}

/**
 * A regular file's content. `path` is opened without following a link at its end; `fd` is read from its start and
 * closed by the driver, whatever happens. `file` must be as it was listed, before and after it is read, and its `rootFd`
 * stays open until `create` is done.
 */
export type LayerContent =
  | Uint8Array
  | { readonly path: string | Buffer }
  | { readonly fd: number }
  | { readonly file: TreeFile }
  | AsyncIterable<Uint8Array>;

/** Places in `numbers` of a LayerFileRun, `count` for each file. */
export const RUN_NUMBERS = { mode: 0, uid: 1, gid: 2, nanoseconds: 3, count: 4 } as const;

/**
 * Many regular files at once, all of one directory of a tree: as so many entries with a `file` for content, at a fraction of
 * what those cost. None of them has attributes beyond these, or several names.
 */
export interface LayerFileRun extends TreeFileRun {
  /** The directory of the layer that they go to, relative to its root. */
  to: ByteString;
  numbers: Uint32Array;
  /** Times of modification, seconds since 1970. */
  seconds: Float64Array;
}

export interface LayerWriter {
  /**
   * Appends an entry. Whiteouts are files named `.wh.<name>` and `.wh..wh..opq` without content. Resolves when the
   * driver has room for the next one, which is not when this one is written. One call at a time.
   */
  add(entry: LayerEntry, content?: LayerContent): Promise<void>;
  /** The same for a run of files, in its order. Takes its arrays over. */
  addFiles(run: LayerFileRun): Promise<void>;
}

export interface MountRequest {
  /** Base first; may be empty (`FROM scratch`). Every layer must have been added. */
  layers: readonly DiffID[];
  /**
   * More on top of `layers`, lowest first: layers, and upper directories that nothing writes to any more, as they are. A
   * request that has this, be it empty, is for a root filesystem that is soon gone and grows step by step: nothing is
   * made of its layers that would be of no use for others.
   */
  above?: readonly (DiffID | UpperDirectory)[];
  /** Existing directories on one file system; both undefined for a read-only mount. */
  upper?: string;
  work?: string;
  /**
   * What is written is of no use after a crash of the machine: overlayfs writes nothing back, neither when the container
   * asks for that nor at the end, where it would wait for all that others have written to the same file system.
   */
  volatile?: boolean;
  /** An existing empty directory. */
  target: string;
  /** Show the files as those of a user namespace; on the disk, also in `upper`, they stay as they are. */
  owners?: MountOwners;
}

/** What a root filesystem has written, in the driver's form; absolute, and there until all mounts over it are gone. */
export interface UpperDirectory {
  upper: string;
}

/** Facts for `info`: name and value, as `docker info` prints them below the driver. */
export type DriverStatus = [name: string, value: string][];

/** The EROFS index of a mounted image: its inode numbers are nids of the index. */
export interface ContentIndex {
  path: string;
  /** The files that the index points into, in the order of its devices. A layer's file has one name in all images. */
  devices: string[];
}

export interface Snapshotter {
  /** `overlay` or `erofs`, as `--storage-driver` spells it. */
  readonly driver: string;

  /** Whether `exportTar` gives every layer byte for byte as its diffID names it. */
  readonly keepsTars: boolean;

  /** What the store knows of a layer; undefined where it is not here whole. */
  layer(diffId: DiffID): LayerInfo | undefined;

  /**
   * Stores a layer. Idempotent, and calls for one diffID at a time share one run. Interrupted or failed, nothing
   * is visible. An entry that would leave the layer's root, or that is broken, fails with InvalidParameter naming it.
   */
  add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo>;

  /**
   * Stores a tar whose diffID is not known yet: a file, or a stream of its bytes, compressed in any way that is read
   * here (also bzip2 and xz). The diffID is that of the tar as it came.
   */
  addTar(
    source: string | AsyncIterable<Uint8Array>,
    options?: TarOptions,
    signal?: AbortSignal,
  ): Promise<CommittedLayer>;

  /**
   * Makes a layer of the entries that `write` adds, in that order, a later one of the same name in place of an earlier.
   * The same entries give the same diffID. What `write` throws is thrown, and nothing is left behind.
   */
  create(
    write: (layer: LayerWriter) => Promise<void>,
    options?: BlobOptions,
    signal?: AbortSignal,
  ): Promise<CommittedLayer>;

  /**
   * Turns the changes in an upper directory (whiteouts and opaque directories in the driver's form) into a new layer,
   * stored and ready to mount. Deterministic: sorted entries, no atime or ctime, nothing of the root itself. The
   * directory is left as it is; sockets are left out.
   */
  commit(upper: string, signal?: AbortSignal, options?: CommitOptions): Promise<CommittedLayer>;

  /**
   * The layer's tar (OCI whiteouts), byte for byte what its diffID names where the driver kept it, or made the layer
   * itself by `commit`; else a deterministic one with the same meaning.
   */
  exportTar(diffId: DiffID): Readable;

  /**
   * Forgets a layer, whose files go in the background. The caller knows that no image has it and nothing mounts it.
   * Unknown ones are ignored.
   */
  remove(diffId: DiffID): Promise<void>;

  /**
   * Reads all that the driver made of a layer, besides its tar, and throws Internal with what is wrong. Absent from
   * drivers that have nothing to check by.
   */
  check?(diffId: DiffID): Promise<void>;

  /**
   * Stores a layer anew from a tar that is in this data root: its own, where what was made of that is damaged, or that
   * which another driver left. Tells whether there is one; throws Internal where it is not the layer's.
   */
  restore?(diffId: DiffID): Promise<boolean>;

  /**
   * Makes ahead what `mount` will need for an image, so that its first container need not wait. Needless calls cost
   * nothing; a failure is one that `mount` would have too.
   */
  prepare(layers: readonly DiffID[]): Promise<void>;

  /** Mounts a root filesystem at `target`. */
  mount(request: MountRequest): Promise<void>;

  /**
   * Of layers that are mounted: where to learn which files of two images are the same bytes of one layer. Absent in
   * drivers whose inode numbers say so by themselves, over all images.
   */
  contentIndex?(layers: readonly DiffID[]): ContentIndex;

  /** Undoes `mount`; not mounted is no error. */
  unmount(target: string): Promise<void>;

  /**
   * Removes the leftovers of interrupted calls, and layers that a power cut may have torn: those are no longer in
   * `layers`, and `add` stores them anew. Called once, before anything else.
   */
  sweep(): Promise<void>;

  /** All layers that are here whole. */
  layers(): DiffID[];

  /** What `info` shows of the driver: how it mounts, how many layers it has, why it was chosen. */
  status(): DriverStatus;

  /** Ends threads and background work. The last call. */
  close(): Promise<void>;
}
