/** Mounts as they are asked for (`HostConfig.Mounts`, Binds are plain strings) and as they are reported. */

export type MountType = 'bind' | 'volume' | 'image' | 'tmpfs' | 'npipe' | 'cluster';
export type MountPropagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** One entry of `HostConfig.Mounts` (`--mount`). */
export interface Mount {
  Type: MountType;
  /** Host path for binds, volume name for volumes, image reference for images; absent for tmpfs. */
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: BindOptions | null;
  VolumeOptions?: VolumeOptions | null;
  ImageOptions?: ImageOptions | null;
  TmpfsOptions?: TmpfsOptions | null;
}

export interface BindOptions {
  Propagation?: MountPropagation | '';
  NonRecursive?: boolean;
  CreateMountpoint?: boolean;
  ReadOnlyNonRecursive?: boolean;
  ReadOnlyForceRecursive?: boolean;
  /** Ours: `owner`, or `uids=FROM-TO-LENGTH#…;gids=…` (src/oci/idmap.ts). */
  IDMap?: string;
}

export interface VolumeOptions {
  NoCopy?: boolean;
  Labels?: Record<string, string> | null;
  DriverConfig?: { Name?: string; Options?: Record<string, string> | null } | null;
  Subpath?: string;
  /** Ours: as in BindOptions. */
  IDMap?: string;
}

export interface ImageOptions {
  Subpath?: string;
}

export interface TmpfsOptions {
  SizeBytes?: number;
  /** File mode bits as a decimal number: 0o1777 is 1023. */
  Mode?: number;
  /** Each inner list is `[key]` or `[key, value]`. */
  Options?: string[][] | null;
}

/** One entry of `Mounts` in an inspected or listed container. */
export interface MountPoint {
  Type: MountType;
  Name?: string;
  Source: string;
  Destination: string;
  Driver?: string;
  /** Options as the user gave them after the second colon (`ro`, `z`). */
  Mode: string;
  RW: boolean;
  Propagation: MountPropagation | '';
}
