/** Named and anonymous volumes. */

export interface Volume {
  CreatedAt?: string;
  Driver: string;
  Labels: Record<string, string> | null;
  Mountpoint: string;
  Name: string;
  Options: Record<string, string> | null;
  Scope: 'local' | 'global';
  Status?: VolumeStatus;
  UsageData?: VolumeUsageData | null;
}

/** What is known of a volume with options; by the definition every value is an object. */
export interface VolumeStatus {
  /** Of a volume that is mounted while it is used. */
  Mount?: { Mounted: boolean; FileSystem: string };
  /** Of a volume whose size is limited. */
  Size?: { LimitBytes: number; UsedBytes: number };
}

/** Both are -1 where they were not measured. */
export interface VolumeUsageData {
  RefCount: number;
  Size: number;
}

export interface VolumeCreateRequest {
  /** Empty or absent makes an anonymous volume with a random 64-digit name. */
  Name?: string;
  Driver?: string;
  DriverOpts?: Record<string, string> | null;
  Labels?: Record<string, string> | null;
}

export interface VolumeListResponse {
  Volumes: Volume[];
  Warnings: string[] | null;
}

export interface VolumePruneResponse {
  VolumesDeleted: string[];
  SpaceReclaimed: number;
}

/** Ours: POST /volumes/{name}/clone. */
export interface VolumeCloneRequest {
  /** The new volume's. */
  Name: string;
  Labels?: Record<string, string> | null;
}

/** Ours: of GET /volumes/{name}/snapshots. */
export interface VolumeSnapshot {
  Name: string;
  Volume: string;
  /** RFC 3339. */
  CreatedAt: string;
}
