/** What BuildKit's protocol needs of the engine: the builder, which every way in shares. */
import type { Builder } from '../../build/builder.ts';

export type BuildkitBackend = Pick<Builder, 'solve' | 'export' | 'platforms' | 'cacheEntries' | 'prune'>;
