/** Files that flags name. */
import { readFileSync } from 'node:fs';
import { errnoCode, errorMessage } from '../../base/errors.ts';

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
};

/** The file's content. Throws `open PATH: no such file or directory` and the like. */
export function readInputFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw fileError('open', path, cause);
  }
}

/** `lstat /x: no such file or directory`. */
export function fileError(action: string, path: string, cause: unknown): Error {
  return new Error(`${action} ${path}: ${REASONS[errnoCode(cause) ?? ''] ?? errorMessage(cause)}`, { cause });
}
