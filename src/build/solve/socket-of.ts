/** Which scoped socket a build came by: what is kept of its sources, and what its RUNs made, is for that one alone. */
import type { SolveRequest } from '../solve-request.ts';

/** Undefined for the sockets that may do everything. A fresh build has its socket's name in front of its own. */
export function socketOf({ cacheNamespace }: Pick<SolveRequest, 'cacheNamespace'>): string | undefined {
  return cacheNamespace?.split('\0', 1)[0] || undefined;
}
