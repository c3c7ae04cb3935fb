/**
 * The builder that every way in uses: a SolveRequest becomes images (`solve`), and those go where they are wanted
 * (`export`). It owns the build cache, and knows which builds are in flight.
 */
import type { Readable } from 'node:stream';
import { NotImplementedError } from '../base/errors.ts';
import type { ImageID } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { hostPlatform } from '../image/platform.ts';
import type { Progress } from './progress.ts';
import type { BuildSession } from './session.ts';
import type { SolvedBuild } from './solve/solved.ts';
import type { OutputSpec, SolveRequest } from './solve-request.ts';

/** What a build talks to while it runs. */
export interface BuildIo {
  /** Names the build: for `keepFailed`, and in lists of builds. */
  id: string;
  /** The request's body, for contexts of kind `tar`. */
  body?: Readable;
  session?: BuildSession;
  progress: Progress;
  /** Aborted: steps are killed, and everything rejects with the signal's reason. */
  signal: AbortSignal;
}

/** Where the results are now. */
export interface ExportOutcome {
  /** Of the image, or of the first one where there are several platforms; undefined where nothing was stored or written. */
  imageId?: ImageID;
  /** BuildKit's answers: `containerimage.digest`, `containerimage.config.digest`, `image.name`, … */
  metadata: Readonly<Record<string, string>>;
}

/** One entry of the build cache, as `GET /system/df` and `buildx du` show it. */
export interface BuildCacheEntry {
  id: string;
  /** `regular`, `source.local`, `source.git.checkout`, `exec.cachemount`, `internal`, `frontend`. */
  type: string;
  description: string;
  inUse: boolean;
  /** Its bytes belong to an image as well. */
  shared: boolean;
  sizeBytes: number;
  /** Milliseconds since 1970. */
  createdMs: number;
  lastUsedMs?: number;
  usageCount: number;
  parents: readonly string[];
}

export interface CachePruneRequest {
  /** Also what images share and what is internal. */
  all: boolean;
  /** As Docker's: id, until (a duration or time), type, inuse, shared, private, description, parent; each with its values. */
  filters: Readonly<Record<string, readonly string[]>>;
  /** Bytes of cache that stay in any case. */
  reservedSpaceBytes?: number;
  /** Bytes that the cache may have afterwards. */
  maxUsedSpaceBytes?: number;
  /** Bytes that the disk is to have free afterwards. */
  minFreeSpaceBytes?: number;
}

export interface CachePruned {
  entries: readonly BuildCacheEntry[];
  freedBytes: number;
}

export class Builder {
  /**
   * Does what the request's target needs. Throws BuildError where an instruction fails, InvalidParameter for what the
   * request or the Dockerfile has wrong, or the signal's reason. What it returns must be released.
   */
  async solve(request: SolveRequest, io: BuildIo): Promise<SolvedBuild> {
    io.signal.throwIfAborted();
    throw new NotImplementedError(`not implemented: building ${request.context.kind} contexts`);
  }

  /** Brings the results of `solve` to all of `outputs`, one after the other. */
  async export(solved: SolvedBuild, outputs: readonly OutputSpec[], io: BuildIo): Promise<ExportOutcome> {
    io.signal.throwIfAborted();
    throw new NotImplementedError(
      `not implemented: ${outputs.length} outputs of ${solved.images.length} images`,
    );
  }

  /** What this machine can run, best first. */
  platforms(): Platform[] {
    return [hostPlatform()];
  }

  async cacheEntries(): Promise<BuildCacheEntry[]> {
    return [];
  }

  async prune(request: CachePruneRequest, signal: AbortSignal): Promise<CachePruned> {
    signal.throwIfAborted();
    throw new NotImplementedError(`not implemented: pruning the build cache (all=${request.all})`);
  }
}
