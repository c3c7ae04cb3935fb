/**
 * Content of a file in a tree that others may change: read only while the file is what was listed (src/native/tree.ts),
 * and in pieces, so that a large one costs no memory.
 */
import { closeSync, readSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { treeAddon } from '../../native/tree.ts';
import { type ByteString, bytesOf, printable } from './tar/byte-string.ts';

/** A file below an open directory, with the state that it was listed with. */
export interface TreeFile {
  rootFd: number;
  path: ByteString;
  state: Float64Array;
}

/**
 * Hands the whole content to `take`, in pieces that are valid until the next one. Throws InvalidParameter naming the file
 * where it is not what `state` says, at the start or at the end.
 */
export async function readTreeFile(
  file: TreeFile,
  buffer: Buffer,
  take: (piece: Buffer) => void | Promise<void>,
): Promise<void> {
  const sizeBytes = file.state[0] ?? 0;
  try {
    if (sizeBytes <= buffer.length) {
      const length = treeAddon().treeRead(file.rootFd, bytesOf(file.path), file.state, buffer);
      if (length > 0) await take(buffer.subarray(0, length));
      return;
    }
    const fd = treeAddon().treeOpen(file.rootFd, bytesOf(file.path), file.state);
    try {
      for (let position = 0; position < sizeBytes; ) {
        const length = readSync(fd, buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
        if (length === 0) throw changed(file.path);
        await take(buffer.subarray(0, length));
        position += length;
      }
      if (!treeAddon().treeUnchanged(fd, file.state)) throw changed(file.path);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const code = errnoCode(error);
    if (code !== undefined && CHANGED.has(code)) throw changed(file.path, error);
    throw error;
  }
}

/** What a file that was listed answers when something else has taken its place, or nothing. */
const CHANGED = new Set(['ESTALE', 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'ENXIO']);

function changed(path: ByteString, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`${printable(path)} was changed while it was read`, cause);
}
