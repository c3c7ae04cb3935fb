/**
 * Content of a file in a tree that others may change: read only while the file is what was listed (src/native/tree.ts),
 * and in pieces, so that a large one costs no memory.
 */
import { closeSync, readSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { STATE_COUNT, treeAddon } from '../../native/tree.ts';
import { type ByteString, byteString, bytesOf, printable } from './tar/byte-string.ts';

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

/** Files of one directory of a tree, by the states that they were listed with. */
export interface TreeFileRun {
  rootFd: number;
  /** Below the root; '' is the root itself. */
  directory: ByteString;
  /** A NUL behind each. */
  names: Uint8Array;
  /** STATE_COUNT numbers each. */
  states: Float64Array;
}

/**
 * Hands the contents of all files to `take`, in their order: small ones whole, many of them with one call of the addon,
 * large ones in pieces. `index` counts from 0; an empty file gives no piece. Pieces are valid until the next one. Throws as
 * `readTreeFile`.
 */
export async function readTreeFiles(
  run: TreeFileRun,
  buffer: Buffer,
  take: (index: number, piece: Buffer) => void | Promise<void>,
): Promise<void> {
  const { rootFd, directory, states } = run;
  const path = bytesOf(directory);
  const count = states.length / STATE_COUNT;
  let names: string[] | undefined;
  for (let from = 0; from < count; ) {
    const read = readSome(run, path, from, buffer);
    if (read === 0) {
      names ??= Buffer.from(run.names.buffer, run.names.byteOffset, run.names.length)
        .toString('latin1')
        .split('\0');
      const file = { rootFd, path: below(directory, names[from] ?? ''), state: stateAt(states, from) };
      const index = from++;
      await readTreeFile(file, buffer, (piece) => take(index, piece));
      continue;
    }
    let at = 0;
    for (const end = from + read; from < end; from++) {
      const sizeBytes = states[from * STATE_COUNT] ?? 0;
      if (sizeBytes === 0) continue;
      const taken = take(from, buffer.subarray(at, at + sizeBytes));
      // Most takers are done at once, and a turn for each of many small files is dear.
      if (taken !== undefined) await taken;
      at += sizeBytes;
    }
  }
}

function readSome(run: TreeFileRun, path: Buffer, from: number, buffer: Buffer): number {
  const { rootFd, directory, names, states } = run;
  try {
    return treeAddon().treeReadFiles(rootFd, path, names, states, from, buffer);
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined || !CHANGED.has(code)) throw error;
    const { path: name } = error as NodeJS.ErrnoException;
    throw changed(name === undefined ? directory : below(directory, byteString(name)), error);
  }
}

function below(directory: ByteString, name: string): ByteString {
  return (directory === '' ? name : `${directory}/${name}`) as ByteString;
}

function stateAt(states: Float64Array, index: number): Float64Array {
  return states.subarray(index * STATE_COUNT, (index + 1) * STATE_COUNT);
}

/** What a file that was listed answers when something else has taken its place, or nothing. */
const CHANGED = new Set(['ESTALE', 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'ENXIO']);

function changed(path: ByteString, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`${printable(path)} was changed while it was read`, cause);
}
