/** The range of Engine API versions that the socket speaks; requests may name one in their path (`/v1.44/…`). */

/** Newest version, assumed for requests whose path names none. */
export const API_VERSION = '1.51';

/** Oldest version that is still answered. */
export const MIN_API_VERSION = '1.24';

/** Negative, zero or positive as `a` is older than, equal to or newer than `b` (`1.9` is older than `1.24`). */
export function compareApiVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split('.').map(Number);
  const [bMajor = 0, bMinor = 0] = b.split('.').map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}
