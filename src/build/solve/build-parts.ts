/** The parts of the engine that builds use, each as narrow as they need it. */
import type { CommittedLayer, Snapshotter } from '../../image/layers/snapshotter.ts';
import type { PullRequest } from '../../image/pull/puller.ts';
import type { PushAux, PushRequest } from '../../image/push/pusher.ts';
import type { ContentStore } from '../../image/store/content-store.ts';
import type { Image, ImageStore } from '../../image/store/image-store.ts';
import type { CopyRequest, ParentRoot, PreparedCopy } from '../copy/copy-step.ts';
import type { NewLayers } from '../new-layers.ts';
import type { PendingLayer, RunBuild, RunRequest } from '../run/run-step.ts';
import type { BuildSources } from '../source/build-sources.ts';

export interface WorkdirRequest {
  /** Absolute. */
  path: string;
  /** USER at that place: whose the folder is. */
  user: string;
  epochSeconds: number;
  parent: ParentRoot;
  newLayers: NewLayers;
}

/** COPY, ADD and WORKDIR: layers without containers. */
export interface CopyService {
  prepare(request: CopyRequest, signal: AbortSignal): PreparedCopy;
  /** Undefined where all of the path is there. */
  makeWorkdir(request: WorkdirRequest, signal: AbortSignal): Promise<CommittedLayer | undefined>;
}

export interface RunService {
  /** Throws RunFailedError. What it returns must be released. */
  run(request: RunRequest, build: RunBuild): Promise<PendingLayer>;
}

export interface PushService {
  push(request: PushRequest): Promise<void>;
}

export type { PushAux };

export interface BuildParts {
  images: Pick<
    ImageStore,
    | 'tryResolve'
    | 'get'
    | 'add'
    | 'tag'
    | 'hold'
    | 'keepBlob'
    | 'collectLayers'
    | 'tell'
    | 'manifest'
    | 'index'
    | 'layerBlobs'
    | 'forPlatform'
  >;
  contentStore: ContentStore;
  snapshotter: Pick<
    Snapshotter,
    | 'driver'
    | 'keepsTars'
    | 'mount'
    | 'unmount'
    | 'layer'
    | 'exportTar'
    | 'add'
    | 'addTar'
    | 'create'
    | 'commit'
  >;
  puller: { pull(request: PullRequest): Promise<Image> };
  pusher: PushService;
  sources: Pick<BuildSources, 'main' | 'open' | 'openLayers' | 'fetchFile' | 'fetchGit' | 'work'>;
  copy: CopyService;
  run: RunService;
}
