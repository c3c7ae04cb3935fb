/**
 * What COPY and ADD copy: names and patterns resolved inside their root (the context, another stage, an image), with
 * a digest of the content for the cache.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, fstatSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { at, O_PATH, openInRoot } from '../volume/copy-tree.ts';
import { compileWildcard, hasWildcard } from './copy/wildcard.ts';

export interface CopySource {
  /** As it was asked for or matched, relative to the root. */
  path: string;
  /** Where it is, links resolved inside the root. */
  realPath: string;
  directory: boolean;
  /** `file:<hex>` or `dir:<hex>`: names, types, modes and content; no times, no owners. */
  digest: string;
}

export interface SourceRoot {
  /** Absolute path of a directory that nobody changes meanwhile. */
  path: string;
  /** The build context, for the error's text. */
  isContext: boolean;
}

/** In the order of the patterns, then of names. Throws InvalidParameter with Docker's texts where nothing is found. */
export async function findSources(
  root: SourceRoot,
  patterns: readonly string[],
  signal: AbortSignal,
): Promise<CopySource[]> {
  const found: CopySource[] = [];
  for (const pattern of patterns) {
    const relative = relativePath(pattern);
    if (!hasWildcard(relative)) {
      found.push(await describe(root, relative, signal));
      continue;
    }
    for (const path of matches(root.path, relative)) found.push(await describe(root, path, signal));
  }
  return found;
}

/** Absolute paths count from the root. */
function relativePath(pattern: string): string {
  const clean = posix.normalize(pattern.replace(/^\/+/, '') || '.');
  if (clean === '..' || clean.startsWith('../')) {
    throw new InvalidParameterError(`forbidden path outside the build context: ${pattern}`);
  }
  return clean.replace(/\/$/, '');
}

/** Paths below `root` that a pattern matches, component by component, links not entered. */
function matches(root: string, pattern: string): string[] {
  let found = [''];
  for (const part of pattern.split('/')) {
    const matcher = compileWildcard(part);
    found = found.flatMap((folder) =>
      namesIn(root, folder)
        .filter((name) => matcher(name))
        .map((name) => (folder === '' ? name : `${folder}/${name}`)),
    );
  }
  return found;
}

function namesIn(root: string, folder: string): string[] {
  const path = posix.join(root, folder);
  if (!lstatSync(path).isDirectory()) return [];
  return readdirSync(path).sort();
}

async function describe(root: SourceRoot, path: string, signal: AbortSignal): Promise<CopySource> {
  const fd = openSource(root, path);
  try {
    const stat = fstatSync(fd);
    const realPath = readlinkSync(at(fd));
    const hash = createHash('sha256');
    if (stat.isDirectory()) {
      await hashDirectory(hash, Buffer.from(realPath), Buffer.alloc(0), signal);
      return { path, realPath, directory: true, digest: `dir:${hash.digest('hex')}` };
    }
    await hashEntry(hash, Buffer.from(realPath), Buffer.from(posix.basename(path)), signal);
    return { path, realPath, directory: false, digest: `file:${hash.digest('hex')}` };
  } finally {
    closeSync(fd);
  }
}

function openSource(root: SourceRoot, path: string): number {
  try {
    return openInRoot(root.path, path === '' ? '.' : path, O_PATH);
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
    const prefix = root.isContext ? 'file not found in build context or excluded by .dockerignore: ' : '';
    throw new InvalidParameterError(`${prefix}stat ${path}: file does not exist`);
  }
}

async function hashDirectory(hash: Hash, path: Buffer, relative: Buffer, signal: AbortSignal): Promise<void> {
  await setImmediate();
  for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
    const below = relative.length === 0 ? name : joined(relative, name);
    await hashEntry(hash, joined(path, name), below, signal);
  }
}

/** Names are bytes: not all of them are UTF-8. */
function joined(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

/** Every field ends in NUL, so that no two trees read the same. */
async function hashEntry(hash: Hash, path: Buffer, name: Buffer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const stat = lstatSync(path);
  hash.update(name).update(`\0${stat.mode}\0`);
  if (stat.isDirectory()) {
    await hashDirectory(hash, path, name, signal);
  } else if (stat.isSymbolicLink()) {
    hash.update(readlinkSync(path, { encoding: 'buffer' })).update('\0');
  } else if (stat.isFile()) {
    hash.update(`${stat.size}\0`);
    if (stat.size > 0) for await (const chunk of createReadStream(path)) hash.update(chunk);
  } else {
    hash.update(`${stat.rdev}\0`);
  }
}
