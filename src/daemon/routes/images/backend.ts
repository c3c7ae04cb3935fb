/** What the image routes need of the engine. */
import type { DiffID, ImageID } from '../../../image/digest.ts';
import type { Platform } from '../../../image/platform.ts';
import type { OnProgress } from '../../../image/progress.ts';
import type { PushRequest } from '../../../image/push/pusher.ts';
import type { RegistryAuth } from '../../../image/registry/credentials.ts';
import type { ImageManifests } from '../../../image/store/image-manifests.ts';
import type {
  Image,
  ListedImage,
  PruneOptions,
  PruneResult,
  RemovedItem,
} from '../../../image/store/image-store.ts';
import type { ArchivesBackend } from './archive.ts';
import type { DistributionBackend } from './distribution.ts';
import type { SearchBackend } from './search.ts';

export type RegistryBackend = SearchBackend & DistributionBackend;

export interface PullRequest {
  reference: string;
  platform?: string;
  auth?: RegistryAuth;
  /** By registry, for its mirrors. */
  authConfigs?: Readonly<Record<string, RegistryAuth>>;
  stale?: boolean;
  allTags?: boolean;
  onProgress: OnProgress;
  signal: AbortSignal;
}

export interface ImagesBackend {
  /** Name of the storage driver, for inspect. */
  readonly driver: string;
  readonly archives: ArchivesBackend;
  readonly registry: RegistryBackend;
  list(): ListedImage[];
  /** Throws NotFound. */
  resolve(reference: string): Image;
  tryResolve(reference: string): Image | undefined;
  /** The image, or another one of its index, that is for the platform. */
  forPlatform(image: Image, platform: Platform): Image | undefined;
  /** IDs of the images that an image is the parent of. */
  children(imageId: ImageID): readonly ImageID[];
  /** Every image's layers, base first. */
  layersByImage(): ReadonlyMap<ImageID, readonly DiffID[]>;
  layerSizeBytes(diffId: DiffID): number;
  manifests(image: Image, containersOf: (imageId: ImageID) => readonly string[]): ImageManifests;
  /** IDs of the containers that were made from each image that has some. */
  containersByImage(): ReadonlyMap<string, readonly string[]>;
  /** Throws InvalidParameter or NotFound. */
  tag(source: string, target: string): void;
  remove(reference: string, options: { force: boolean; noPrune: boolean }): Promise<RemovedItem[]>;
  /** Throws Conflict while another prune runs. */
  prune(options: Omit<PruneOptions, 'usedBy'>): Promise<PruneResult>;
  pull(request: PullRequest): Promise<Image>;
  push(request: PushRequest): Promise<void>;
}
