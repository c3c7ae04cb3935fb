/** What the image routes need of the engine. */
import type { Image, RemovedItem } from '../../../image/image-store.ts';
import type { OnProgress } from '../../../image/progress.ts';
import type { RegistryAuth } from '../../../image/registry/credentials.ts';
import type { ArchivesBackend } from './archive.ts';

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
  list(): Image[];
  /** Throws NotFound. */
  resolve(reference: string): Image;
  tryResolve(reference: string): Image | undefined;
  /** Throws InvalidParameter or NotFound. */
  tag(source: string, target: string): void;
  remove(reference: string, options: { force: boolean; noPrune: boolean }): Promise<RemovedItem[]>;
  pull(request: PullRequest): Promise<Image>;
  readonly archives: ArchivesBackend;
  /** How many containers were made from an image. */
  containersOf(imageId: string): number;
}
