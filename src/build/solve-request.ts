/**
 * A build as every way in asks for it (`POST /build` with its query, BuildKit's Solve with its attributes): read and
 * judged, not begun.
 */
import type { Ulimit } from '../api/host-config.ts';
import type { Digest } from '../image/digest.ts';
import type { RegistryAuth } from '../image/registry/credentials.ts';
import type { BuiltImage } from './solve/solved.ts';

/** Limits of the containers that RUN makes: HostConfig's fields; 0 and empty for none. */
export interface StepLimits {
  memory: number;
  memorySwap: number;
  cpuShares: number;
  cpuPeriod: number;
  cpuQuota: number;
  cpusetCpus: string;
  cpusetMems: string;
  shmSize: number;
}

export const NO_LIMITS: StepLimits = {
  memory: 0,
  memorySwap: 0,
  cpuShares: 0,
  cpuPeriod: 0,
  cpuQuota: 0,
  cpusetCpus: '',
  cpusetMems: '',
  shmSize: 0,
};

/** Where a tree of files comes from. */
export type ContextSpec =
  /** The body of the request: a tar that may be compressed, or a Dockerfile alone. */
  | { kind: 'tar' }
  /** A folder of this machine that the client named and the daemon has proved to be the one that the client sees. */
  | { kind: 'folder'; path: string; dockerignore?: string }
  /** A folder that the client's session sends. */
  | { kind: 'session'; name: string }
  /** A tar that the client's session uploads. */
  | { kind: 'upload'; id: string }
  /** An address of a git repository, as Docker reads them: `url#ref:folder`, or with query parameters. */
  | { kind: 'git'; url: string }
  /** An address of a tar, or of a Dockerfile. */
  | { kind: 'http'; url: string }
  /** `docker-image://reference`: the files of an image; in FROM, the image itself. */
  | { kind: 'image'; reference: string }
  /** `oci-layout://…`: an image, or an index of images, in a store of blobs that the client's session serves. */
  | { kind: 'oci-layout'; store: string; digest: Digest }
  /** `target:name`: a stage of the same build. */
  | { kind: 'stage'; name: string }
  /** What another build of this daemon came to, for each of its platforms. Whoever asks keeps it until this one is over. */
  | { kind: 'result'; images: readonly BuiltImage[] };

export interface DockerfileSpec {
  /** Inside the main context; empty for `Dockerfile`, then `dockerfile`. */
  path: string;
  /** Its text, where it does not lie in the context. */
  content?: string;
  /** The session's folder that has it, where that is another than the context (`dockerfile`). */
  session?: string;
}

export type OutputSpec =
  /** Into this machine's images, under `names`; `load: false` of a multi-platform build keeps only the index. */
  | {
      type: 'image';
      names: readonly string[];
      push: boolean;
      store: boolean;
      attributes: Readonly<Record<string, string>>;
    }
  /** Files: to the client's session, or below a folder of this machine. */
  | {
      type: 'local' | 'tar' | 'oci' | 'docker';
      names: readonly string[];
      attributes: Readonly<Record<string, string>>;
    }
  /** Nothing comes out (`--output type=cacheonly`). */
  | { type: 'cacheonly' };

export interface CacheSpec {
  /**
   * `registry`, `inline`, `local` (a folder of this machine), or `session`: what clients of BuildKit call local, a store of
   * theirs (`store`) that their session serves.
   */
  type: string;
  attributes: Readonly<Record<string, string>>;
}

/** As BuildKit names what its frontend can be asked. */
export type Subrequest = 'frontend.lint' | 'frontend.outline' | 'frontend.targets';

export interface LockRequest {
  /** `off`; `update` writes what is missing; `frozen` fails where something would be written. */
  mode: 'off' | 'update' | 'frozen';
  /** Text of Dockerfile.lock as it is; empty where there is none. */
  content: string;
}

export interface SolveRequest {
  context: ContextSpec;
  /** By name, as `--build-context`. */
  namedContexts: Readonly<Record<string, ContextSpec>>;
  dockerfile: DockerfileSpec;
  /** Null: declared, without a value. */
  buildArgs: Readonly<Record<string, string | null>>;
  labels: Readonly<Record<string, string>>;
  target: string;
  /** `os/arch[/variant]` each; empty for this machine's. */
  platforms: readonly string[];
  /** True for all, or names of stages. */
  noCache: boolean | readonly string[];
  /** Nothing of an earlier build is used, cache mounts included, and nothing of this one's cache mounts is kept. */
  fresh?: boolean;
  pull: boolean;
  networkMode: string;
  extraHosts: readonly string[];
  limits: StepLimits;
  ulimits: readonly Ulimit[];
  cgroupParent: string;
  /** `network.host`, `security.insecure`. */
  entitlements: readonly string[];
  cacheFrom: readonly CacheSpec[];
  cacheTo: readonly CacheSpec[];
  outputs: readonly OutputSpec[];
  squash: boolean;
  lock: LockRequest;
  /** Seconds since 1970: SOURCE_DATE_EPOCH as given. */
  sourceDateEpoch?: number;
  /** Seconds since 1970 of the context's newest commit, where the client knows it. */
  contextEpoch?: number;
  /** Credentials by registry host, from X-Registry-Config; a session is asked first. */
  auth: Readonly<Record<string, RegistryAuth>>;
  /** Keeps the state of a step that failed, so that a shell can be opened in it (`POST /build/{id}/debug`). */
  keepFailed: boolean;
  /** Only judges the Dockerfile: lint warnings, no steps. As `subrequest: 'frontend.lint'`. */
  check: boolean;
  /** Asks about the Dockerfile: nothing is built, and the answer is the result's. */
  subrequest?: Subrequest;
  /** Cache mounts of one ID are shared by builds that have this in common. */
  cacheNamespace?: string;
  /** Asked for every image that the build names; throws where the client may not use it. */
  requireImage?: (reference: string) => void;
}
