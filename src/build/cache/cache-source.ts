/**
 * Where results of steps are found by their keys: this machine's records first, then caches that a build imports
 * (`--cache-from`).
 */
import type { BuiltLayer } from '../solve/solved.ts';

export interface CachedStep {
  key: string;
  /** Undefined: the step changes nothing. */
  layer: BuiltLayer | undefined;
}

export interface CacheSource {
  find(key: string, signal: AbortSignal): Promise<CachedStep | undefined>;
  /** The build is over. */
  release?(): Promise<void>;
}
