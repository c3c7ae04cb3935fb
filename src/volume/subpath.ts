/**
 * A part of a volume, opened so that it stays the same folder or file whatever a container does with the volume's
 * names in the meantime.
 */
import { closeSync } from 'node:fs';
import { InvalidParameterError } from '../base/errors.ts';
import { O_PATH, openInRoot } from './copy-tree.ts';

/** Resolved inside `volume`. Throws InvalidParameter where it does not exist. */
export function openVolumeSubpath(volume: string, subpath: string): { path: string; close(): void } {
  let fd: number;
  try {
    fd = openInRoot(volume, subpath, O_PATH);
  } catch (error) {
    throw new InvalidParameterError(`cannot access subpath "${subpath}" of the volume at ${volume}`, error);
  }
  return { path: `/proc/${process.pid}/fd/${fd}`, close: () => closeSync(fd) };
}
