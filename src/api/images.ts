/** Images: list, inspect, delete, history, and the progress messages that pull, load and push stream. */
import type { GraphDriverData, HealthConfig } from './containers.ts';
import type { ErrorDetail } from './error.ts';

export interface OCIPlatform {
  architecture: string;
  os: string;
  'os.version'?: string;
  'os.features'?: string[];
  variant?: string;
}

export interface OCIDescriptor {
  mediaType: string;
  digest: string;
  size: number;
  urls?: string[];
  annotations?: Record<string, string>;
  data?: string;
  platform?: OCIPlatform;
  artifactType?: string;
}

/** One entry of `GET /images/json`. */
export interface ImageSummary {
  Containers: number;
  /** Unix seconds. */
  Created: number;
  Id: string;
  Labels: Record<string, string> | null;
  /** Empty when built here from nothing or pulled. */
  ParentId: string;
  Descriptor?: OCIDescriptor;
  Manifests?: ImageManifestSummary[];
  RepoDigests: string[];
  RepoTags: string[];
  /** -1 where it was not asked for. */
  SharedSize: number;
  /** Bytes of all layers, unpacked. */
  Size: number;
}

export interface ImageManifestSummary {
  ID: string;
  Descriptor: OCIDescriptor;
  Available: boolean;
  Size: { Total: number; Content: number };
  Kind: 'image' | 'attestation' | 'unknown';
  ImageData?: { Platform: OCIPlatform; Containers: string[]; Size: { Unpacked: number } } | null;
  AttestationData?: { For: string } | null;
}

/** The `config` object of an OCI image, as inspect shows it. */
export interface ImageConfig {
  User?: string;
  ExposedPorts?: Record<string, Record<string, never>> | null;
  Env?: string[] | null;
  Cmd?: string[] | null;
  Healthcheck?: HealthConfig | null;
  ArgsEscaped?: boolean;
  Volumes?: Record<string, Record<string, never>> | null;
  WorkingDir?: string;
  Entrypoint?: string[] | null;
  OnBuild?: string[] | null;
  Labels?: Record<string, string> | null;
  StopSignal?: string;
  Shell?: string[] | null;
}

/** `GET /images/{name}/json`. */
export interface ImageInspect {
  Id: string;
  RepoTags: string[];
  RepoDigests: string[];
  Parent: string;
  Comment: string;
  Created?: string;
  DockerVersion: string;
  Author: string;
  Config: ImageConfig | null;
  Architecture: string;
  Variant?: string;
  Os: string;
  OsVersion?: string;
  Size: number;
  GraphDriver: GraphDriverData;
  RootFS: { Type: string; Layers?: string[] };
  Metadata: { LastTagTime: string };
  Descriptor?: OCIDescriptor;
  Manifests?: ImageManifestSummary[];
}

/** One step of a removal: either of the two is set. */
export interface ImageDeleteResponseItem {
  Untagged?: string;
  Deleted?: string;
}

/** One entry of `GET /images/{name}/history`, newest first. */
export interface ImageHistoryItem {
  Id: string;
  /** Unix seconds. */
  Created: number;
  CreatedBy: string;
  Tags: string[] | null;
  Size: number;
  Comment: string;
}

export interface ImagePruneResponse {
  ImagesDeleted: ImageDeleteResponseItem[] | null;
  SpaceReclaimed: number;
}

/** Bytes of a layer; `total` is absent where it is not known. `hidecounts` asks the client to draw no numbers. */
export interface ProgressDetail {
  current?: number;
  total?: number;
  start?: number;
  hidecounts?: boolean;
  /** Absent for bytes. */
  units?: string;
}

/**
 * One line of a progress stream (pull, push, load, build): newline-delimited JSON with status 200; an error
 * after the headers arrives as a message with `error` and `errorDetail`, and is the last one.
 */
export interface JSONMessage<Aux = unknown> {
  /** Build output, printed as it is. */
  stream?: string;
  status?: string;
  /** A layer's short ID, or the tag for the first line of a pull. */
  id?: string;
  /** Drawn bar, for clients that do not draw. */
  progress?: string;
  progressDetail?: ProgressDetail;
  error?: string;
  errorDetail?: ErrorDetail;
  /** Build: `{ID}` of the image; push: tag, digest and size. */
  aux?: Aux;
}

/** The decoded `X-Registry-Auth` header (base64url of this as JSON). */
export interface AuthConfig {
  username?: string;
  password?: string;
  email?: string;
  serveraddress?: string;
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}

export interface AuthResponse {
  Status: string;
  IdentityToken: string;
}
