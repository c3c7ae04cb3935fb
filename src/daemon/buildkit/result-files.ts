/**
 * A build's result as its client looks into it (LLBBridge's ReadFile, ReadDir, StatFile; BuildKit's cache/util). Paths are
 * resolved by the kernel below the result's root, links included, and only regular files are opened. Nothing here waits:
 * the root can go as soon as no call is under way.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { basename } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { StatSchema } from '../../api/buildkit/file-stat_pb.ts';
import { GrpcError } from '../../api/grpc/status.ts';
import { errnoCode } from '../../base/errors.ts';
import { compilePathPattern } from '../../base/path-pattern.ts';
import { byDescriptor, O_DIRECTORY, O_PATH, openInside, readableFile } from '../../native/inside-root.ts';
import { goMode } from './session/go-mode.ts';

/** An answer has to fit one message. */
const READ_MAX_BYTES = 15 << 20;
const ENTRIES_MAX = 20_000;

type Stat = MessageInitShape<typeof StatSchema>;

/** `length` 0 reads to the end. Throws NotFound, InvalidArgument for what is no regular file, ResourceExhausted. */
export function readResultFile(root: string, path: string, offset: number, length: number): Buffer {
  return inside(root, path, O_PATH, (pathFd) => {
    const fd = readableFile(openSync(byDescriptor(pathFd), O_PATH));
    if (fd === undefined) throw new GrpcError('InvalidArgument', `${path} is not a regular file`);
    try {
      const rest = Math.max(0, fstatSync(fd).size - offset);
      const wanted = length > 0 ? Math.min(length, rest) : rest;
      if (wanted > READ_MAX_BYTES) {
        throw new GrpcError(
          'ResourceExhausted',
          `cannot read ${wanted} bytes of ${path} at once: at most ${READ_MAX_BYTES}; read it in ranges`,
        );
      }
      const bytes = Buffer.alloc(wanted);
      return bytes.subarray(0, readSync(fd, bytes, 0, wanted, offset));
    } finally {
      closeSync(fd);
    }
  });
}

/** What a folder has, in the order of names, as far as `pattern` (filepath.Match; empty for all) matches the names. */
export function readResultFolder(root: string, path: string, pattern: string): Stat[] {
  const wanted = pattern === '' ? () => true : compilePathPattern(pattern);
  return inside(root, path, constants.O_RDONLY | O_DIRECTORY, (fd) => {
    const folder = byDescriptor(fd);
    const names = readdirSync(folder, { encoding: 'buffer' }).sort(Buffer.compare);
    const found = names.filter((name) => wanted(name.toString()));
    if (found.length > ENTRIES_MAX) {
      throw new GrpcError('ResourceExhausted', `${path} has more than ${ENTRIES_MAX} entries`);
    }
    return found.map((name) => {
      const child = Buffer.concat([Buffer.from(`${folder}/`), name]);
      const stats = lstatSync(child, { bigint: true });
      const link = stats.isSymbolicLink() ? readlinkSync(child, { encoding: 'buffer' }) : undefined;
      return statOf(name, stats, link);
    });
  });
}

/** Of what links lead to. */
export function statResultFile(root: string, path: string): Stat {
  return inside(root, path, O_PATH, (fd) => {
    const name = Buffer.from(basename(path) || '.');
    return statOf(name, fstatSync(fd, { bigint: true }), undefined);
  });
}

function inside<T>(root: string, path: string, flags: number, use: (fd: number) => T): T {
  if (path.includes('\0')) throw new GrpcError('InvalidArgument', 'a path with a zero byte');
  const rootFd = openSync(root, O_PATH | O_DIRECTORY);
  let fd: number | undefined;
  try {
    fd = openInside(rootFd, path, flags);
    return use(fd);
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') throw new GrpcError('NotFound', `open ${path}: no such file or directory`);
    if (code === 'ENOTDIR') throw new GrpcError('InvalidArgument', `open ${path}: not a directory`);
    if (code === 'ELOOP')
      throw new GrpcError('InvalidArgument', `open ${path}: too many levels of symbolic links`);
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
    closeSync(rootFd);
  }
}

function statOf(path: Buffer, stats: BigIntStats, linkname: Buffer | undefined): Stat {
  return {
    path,
    mode: goMode(Number(stats.mode)),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: stats.isFile() || linkname !== undefined ? stats.size : 0n,
    modTime: stats.mtimeNs,
    ...(linkname === undefined ? {} : { linkname }),
  };
}
