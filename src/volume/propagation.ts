/**
 * Whether a bind can propagate as it was asked to: mounts only travel where the source itself lies on a shared mount
 * (mount_namespaces(7)), which Docker requires before it starts a container.
 */
import { realpath } from 'node:fs/promises';
import { InvalidParameterError } from '../base/errors.ts';
import { type MountEntry, readMountTable } from '../image/layers/mount-table.ts';

/** Throws InvalidParameter with Docker's text where mounts could not travel. */
export async function requirePropagation({
  source,
  propagation,
}: {
  source: string;
  propagation: string;
}): Promise<void> {
  const wanted = propagation.replace(/^r/, '');
  if (wanted !== 'shared' && wanted !== 'slave') return;
  const path = await realpath(source);
  const mount = mountOf(path, readMountTable());
  const has = (kind: string): boolean => mount?.propagation.some((field) => field.startsWith(kind)) === true;
  if (has('shared:') || (wanted === 'slave' && has('master:'))) return;
  const kinds = wanted === 'shared' ? 'a shared' : 'a shared or slave';
  throw new InvalidParameterError(
    `path ${source} is mounted on ${mount?.mountPoint ?? '/'} but it is not ${kinds} mount`,
  );
}

/** The mount that a path lies on: the deepest, and of those on one place the topmost. */
function mountOf(path: string, table: readonly MountEntry[]): MountEntry | undefined {
  let found: MountEntry | undefined;
  for (const entry of table) {
    const { mountPoint } = entry;
    const below = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
    if (below && mountPoint.length >= (found?.mountPoint.length ?? 0)) found = entry;
  }
  return found;
}
