/**
 * Changes a file of the host that is bound into a running container, which may write to it as well: in place, because
 * the mount holds the inode, and never empty in between.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Container } from './container.ts';

/** Larger ones were filled by the container, and are left alone. */
const SIZE_MAX_BYTES = 1024 * 1024;

/** `change` gets the whole file, a character a byte. Failures are logged. */
export function editBoundFile(
  container: Pick<Container, 'id'>,
  path: string,
  change: (text: string) => string,
): void {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    if (fstatSync(fd).size > SIZE_MAX_BYTES) throw new Error('it is larger than 1 MiB');
    // Bytes that are no text stay as they are.
    const before = readFileSync(fd, 'latin1');
    const after = change(before);
    if (after === before) return;
    const bytes = Buffer.from(after, 'latin1');
    writeSync(fd, bytes, 0, bytes.length, 0);
    ftruncateSync(fd, bytes.length);
  } catch (error) {
    log.warn(
      { container: container.id, path, reason: errorMessage(error) },
      'cannot change a file of a running container',
    );
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
