/**
 * Files that are either there whole or not there: written under a temporary name in the same directory, synced,
 * renamed. Names that start with `.tmp-` are leftovers of an interrupted write; sweeps remove them.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoCode } from './errors.ts';

export const TEMPORARY_PREFIX = '.tmp-';

/** A temporary name beside `path`, unique to this call. */
export function temporaryPath(path: string): string {
  // Loading it takes milliseconds, and most commands of the client write no file.
  const { randomBytes } = process.getBuiltinModule('node:crypto');
  return join(
    dirname(path),
    `${TEMPORARY_PREFIX}${basename(path).slice(0, 64)}-${randomBytes(6).toString('hex')}`,
  );
}

/**
 * Replaces `path` by `data` atomically.
 * `sync` (default true) makes it survive a power cut; leave it out only for files on tmpfs or that are rebuilt.
 */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number; sync?: boolean } = {},
): void {
  const temporary = temporaryPath(path);
  const mode = options.mode ?? 0o600;
  const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
  try {
    try {
      fchmodSync(fd, mode);
      writeFileSync(fd, data);
      if (options.sync !== false) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw withPath(error, path);
  }
  if (options.sync !== false) syncDirectory(dirname(path));
}

/** What the kernel says of a descriptor (a full disk) does not tell which file it was. */
function withPath(error: unknown, path: string): unknown {
  if (error instanceof Error && errnoCode(error) !== undefined && !('path' in error)) {
    error.message += ` '${path}'`;
  }
  return error;
}

/** Makes renames inside `directory` last (fsync(2) on the directory). */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Removes what interrupted writes left in a directory, which nothing is written to meanwhile. Folders are not its own:
 * something may be mounted in one.
 */
export function removeTemporaryFiles(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isFile() && entry.name.startsWith(TEMPORARY_PREFIX))
      rmSync(join(directory, entry.name), { force: true });
  }
}

/** Makes the content of a file last, which something else has written. */
export function syncFile(path: string): void {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
