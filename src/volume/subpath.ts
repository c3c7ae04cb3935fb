/**
 * A part of a volume or image, opened so that it stays the same folder or file whatever a container does with the
 * names in there in the meantime.
 */
import { closeSync } from 'node:fs';
import { InvalidParameterError } from '../base/errors.ts';
import { O_PATH, openInRoot } from './copy-tree.ts';

/** Resolved inside `root`, links included. Throws InvalidParameter where it does not exist. */
export function openSubpath(
  root: string,
  { type, name, subpath }: { type: string; name: string; subpath: string },
): { path: string; close(): void } {
  let fd: number;
  try {
    fd = openInRoot(root, subpath, O_PATH);
  } catch (error) {
    throw new InvalidParameterError(`cannot access subpath "${subpath}" of ${type} ${name}`, error);
  }
  return { path: `/proc/${process.pid}/fd/${fd}`, close: () => closeSync(fd) };
}
