/** All targets. */
import { byteTargets } from './byte-targets.ts';
import type { FuzzTarget } from './target.ts';
import { textTargets } from './text-targets.ts';

export const fuzzTargets: readonly FuzzTarget[] = [...textTargets, ...byteTargets];
