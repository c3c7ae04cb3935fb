/** What a build comes to, before anything is done with it: an image for each platform, and facts about how it was made. */
import type { Digest, ImageID } from '../../image/digest.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import type { Platform } from '../../image/platform.ts';
import type { AddLayer } from '../../image/store/image-store.ts';
import type { SubrequestAnswer } from '../dockerfile/answers/answer.ts';
import type { CacheSpec } from '../solve-request.ts';

/** A blob of a cache that is elsewhere; brought when its content is needed. */
export interface RemoteBlob {
  digest: Digest;
  sizeBytes: number;
  mediaType: string;
  /** Brings the layer into the store. */
  fetch(signal: AbortSignal): Promise<void>;
}

export interface BuiltLayer extends AddLayer {
  sizeBytes: number;
  /** Present while the layer is not in the store. */
  remote?: RemoteBlob;
  /** The key under which the step is cached; undefined for layers of base images. */
  cacheKey?: string;
}

export interface BuiltImage {
  platform: Platform;
  config: ImageConfig;
  /** Its digest is the image's ID. */
  configBytes: Buffer;
  layers: readonly BuiltLayer[];
  /** The base image, where it is one of this machine's. */
  base?: ImageID;
}

/** Something from outside that a build depended on. */
export interface BuildMaterial {
  /** `local`: an image that no registry knows. */
  kind: 'image' | 'local' | 'http' | 'git';
  /** As the Dockerfile has it, variables expanded. */
  name: string;
  /** `sha256:…` (of a local image the ID), or a commit. */
  pin: string;
  platform?: string;
}

export interface SolvedBuild {
  /** In the order of the request's platforms. */
  images: readonly BuiltImage[];
  /** `created` of the images: seconds since 1970. */
  epochSeconds: number;
  materials: readonly BuildMaterial[];
  /** The text of Dockerfile.lock as it should be; undefined with `lock.mode` off. */
  lock?: string;
  /** Steps that the build used or made. */
  trail: readonly CacheTrail[];
  /** Cache mounts of its RUNs, also of those that were cached. */
  cacheMounts: readonly CacheMountUse[];
  /** To a request that asks about the Dockerfile; there are no images then. */
  answer?: SubrequestAnswer;
  /** Where the trail is to go. */
  cacheTo: readonly CacheSpec[];
  /** Lets go of layers that nothing else holds. */
  release(): Promise<void>;
}

/** A cache mount that a build uses: what tells it from others. */
export interface CacheMountUse {
  /** As the Dockerfile has it. */
  id: string;
  /** As this machine's store has it. */
  scopedId: string;
  fromKey: string;
  mode: number;
  uid: number;
  gid: number;
  /** For lists. */
  description: string;
}

/** Which cached steps a build used and made, for `--cache-to`. */
export interface CacheTrail {
  key: string;
  /** Of the step, as StepRecord has it; undefined for what no step looks for. */
  definition: string | undefined;
  /** Other keys by which this build would have found it. */
  aliases: readonly string[];
  /** Undefined: the step changes nothing. */
  layer: BuiltLayer | undefined;
}
