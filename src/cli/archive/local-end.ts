/** The local end of a copy: what a path of the user's comes down to. Links in it are the user's own and are followed. */
import { lstatSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { posix } from 'node:path';
import { errnoCode } from '../../base/errors.ts';
import { CliError } from '../cli-error.ts';
import { fileError } from '../options/input-file.ts';
import {
  type CopyEnd,
  type CopySource,
  followedPath,
  linkedPath,
  meansDirectory,
  splitEntry,
} from './copy-paths.ts';

const MAX_LINKS = 10;

/** `path` is absolute. A link at its end is followed where `follow` says so or a trailing slash does. */
export function localSource(path: string, follow: boolean): CopySource {
  const atEnd = follow || meansDirectory(path);
  const { parent, base } = splitEntry(path);
  const real = atEnd ? realPath(path) : posix.join(realPath(parent), base);
  const followed = atEnd ? followedPath(path, real) : { path: real };
  const stats = statsOf(real, lstatSync);
  if (stats === undefined) throw fileError('lstat', path, { code: 'ENOENT' });
  const isDirectory = stats.isDirectory();
  if (meansDirectory(path) && !isDirectory) throw new CliError('not a directory');
  return { ...followed, isDirectory };
}

/** `path` is absolute. A link at its end stands for what it leads to; the parent must exist. */
export function localDestination(path: string): CopyEnd {
  requireParent(path);
  let at = path;
  for (let links = 0; ; links++) {
    if (links > MAX_LINKS) throw new CliError(`too many symlinks in "${path}"`);
    const stats = statsOf(at, lstatSync);
    if (stats === undefined) {
      if (statsOf(splitEntry(at).parent, statSync)?.isDirectory() !== true)
        throw new CliError('not a directory');
      return { path: at, exists: false, isDirectory: false };
    }
    if (!stats.isSymbolicLink()) {
      if (!stats.isDirectory() && !stats.isFile()) {
        throw new CliError(`invalid output path: "${path}" must be a directory or a regular file`);
      }
      return { path: at, exists: true, isDirectory: stats.isDirectory() };
    }
    at = linkedPath(at, readlinkSync(at));
  }
}

function requireParent(path: string): void {
  const folder = posix.dirname(posix.normalize(path));
  if (statsOf(folder, statSync) === undefined) {
    throw new CliError(`invalid output path: directory "${folder}" does not exist`);
  }
}

function statsOf(path: string, stat: (path: string) => Stats): Stats | undefined {
  try {
    return stat(path);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw fileError('stat', path, error);
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (errnoCode(error) === 'ENOTDIR') throw new CliError('not a directory');
    throw fileError('lstat', path.replace(/(?<=.)\/\.?$/, ''), error);
  }
}
