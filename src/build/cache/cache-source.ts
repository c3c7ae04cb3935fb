/**
 * Where results of steps are found by their keys: this machine's records first, then caches that a build imports
 * (`--cache-from`).
 */
import type { BuiltLayer, CacheMountUse } from '../solve/solved.ts';

export interface CachedStep {
  key: string;
  /** Undefined: the step changes nothing. */
  layer: BuiltLayer | undefined;
}

export interface CacheSource {
  /** False where no key of a step like this can be found, whatever lies below it: see StepRecord. */
  mayHave(definition: string): boolean | Promise<boolean>;
  find(key: string, signal: AbortSignal): Promise<CachedStep | undefined>;
  /** It promised a layer that it could not bring: what it says is not to be believed any more. */
  readonly broken?: boolean;
  /** Brings the files of a cache mount into a new one's folder; false where it has none, or could not. */
  fillMount?(mount: CacheMountUse, directory: string, signal: AbortSignal): Promise<boolean>;
  /** The build is over. */
  release?(): Promise<void>;
}
