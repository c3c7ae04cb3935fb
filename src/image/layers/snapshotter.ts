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
 * Build reads what was written: `commit(upper)` makes layer c from it, and the new image is [a, b, c]. `remove(b)`
 * after its last image is gone frees the disk.
 */
import type { Readable } from 'node:stream';
import type { DiffID } from '../digest.ts';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

export interface LayerSource {
  /** The layer as the registry gave it, verified already. */
  blobPath: string;
  compression: LayerCompression;
  /** What the uncompressed tar must hash to. `add` fails with InvalidParameter, naming both, where it does not. */
  diffId: DiffID;
  /** Compressed bytes consumed so far; called at most every 100 ms. */
  onProgress?: (consumedBytes: number) => void;
}

export interface LayerInfo {
  diffId: DiffID;
  /** Sum of the sizes of the regular files, as Docker reports image sizes. */
  sizeBytes: number;
}

export interface CommittedLayer extends LayerInfo {
  /** The compressed layer: path to a temporary file that the caller moves or deletes; its digest and length. */
  blobPath: string;
  blobDigest: string;
  blobSizeBytes: number;
}

export interface MountRequest {
  /** Base first; may be empty (`FROM scratch`). Every layer must have been added. */
  layers: readonly DiffID[];
  /** Existing directories on one file system; both undefined for a read-only mount. */
  upper?: string;
  work?: string;
  /** An existing empty directory. */
  target: string;
}

export interface Snapshotter {
  /** `overlay` or `erofs`, as `--storage-driver` spells it. */
  readonly driver: string;

  /** What the store knows of a layer; undefined where it is not here whole. */
  layer(diffId: DiffID): LayerInfo | undefined;

  /**
   * Stores a layer. Idempotent, and calls for one diffID at a time share one run. Interrupted or failed, nothing
   * is visible. An entry that would leave the layer's root, or that is broken, fails with InvalidParameter naming it.
   */
  add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo>;

  /**
   * Turns the changes in an upper directory (whiteouts and opaque directories in the driver's form) into a new layer,
   * stored and ready to mount. Deterministic: sorted entries, no atime or ctime. The directory is left as it is.
   */
  commit(upper: string, signal?: AbortSignal): Promise<CommittedLayer>;

  /** The layer's tar (OCI whiteouts), byte for byte what its diffID names where the driver kept it. */
  exportTar(diffId: DiffID): Readable;

  /** Forgets a layer. The caller knows that no image has it and nothing mounts it. Unknown ones are ignored. */
  remove(diffId: DiffID): Promise<void>;

  /** Mounts a root filesystem at `target`. */
  mount(request: MountRequest): Promise<void>;

  /** Undoes `mount`; not mounted is no error. */
  unmount(target: string): Promise<void>;

  /** Removes the leftovers of interrupted calls. Called once, before anything else. */
  sweep(): Promise<void>;

  /** All layers that are here whole. */
  layers(): DiffID[];
}
