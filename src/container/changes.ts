/**
 * `docker diff`: what a container has changed of its image, read from its upper directory (the kernel's
 * filesystems/overlayfs: a 0/0 device hides a name, an opaque directory all that lies below it). Whether a name is new
 * is told by the image's own tree, mounted for that.
 */
import { closeSync, constants, lstatSync, mkdtempSync, openSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { FilesystemChange } from '../api/containers.ts';
import { errnoCode, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import type { DiffID } from '../image/digest.ts';
import {
  archiveAddon,
  LIST_FIELDS,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFSOCK,
} from '../image/layers/native-archive.ts';
import { type ByteString, bytesOf } from '../image/layers/tar/byte-string.ts';
import { ifThere, O_DIRECTORY, openChild } from './archive/inside.ts';
import { emptyBaseMountPoints } from './base-mount-points.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';

const MODIFIED = 0;
const ADDED = 1;
const DELETED = 2;
const SLICE_MS = 5;

/** Sorted by path. */
export async function containerChanges(
  engine: EngineContext,
  container: Container,
): Promise<FilesystemChange[]> {
  const { upper } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  if (lstatSync(upper, { throwIfNoEntry: false }) === undefined) return [];
  return await withImageTree(engine, container, (lower) =>
    compareTrees(upper, lower, emptyBaseMountPoints(upper, lower)),
  );
}

/** The image's layers, mounted read-only below the exec root. */
export async function withImageTree<T>(
  engine: EngineContext,
  container: Container,
  use: (root: string) => Promise<T>,
): Promise<T> {
  return await withLayers(engine, container.record.layers, use);
}

/** Any layers, mounted so. The caller sees to it that they are not removed meanwhile. */
export async function withLayers<T>(
  engine: EngineContext,
  layers: readonly DiffID[],
  use: (root: string) => Promise<T>,
): Promise<T> {
  const folder = join(engine.settings.execRoot, 'views');
  makeDirectory(folder, 0o700);
  const target = mkdtempSync(join(folder, 'image-'));
  try {
    await engine.snapshotter.mount({ layers, target });
    try {
      return await use(target);
    } finally {
      await engine.snapshotter.unmount(target);
    }
  } finally {
    removeMountPoint(target);
  }
}

/** What is still mounted on it, and why, has been said. The next start removes it. */
function removeMountPoint(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    log.warn({ path, error: errorMessage(error) }, "a mounted image's place remains until the next start");
  }
}

/** What `upper` says over `lower`, but for `ignored` paths. Both are walked by descriptor. */
export async function compareTrees(
  upper: string,
  lower: string,
  ignored: readonly string[] = [],
): Promise<FilesystemChange[]> {
  const flags = constants.O_RDONLY | O_DIRECTORY;
  const upperFd = openSync(upper, flags);
  const lowerFd = openSync(lower, flags);
  try {
    const comparison = new Comparison(new Set(ignored));
    await comparison.directory(upperFd, lowerFd, '', false);
    return comparison.changes();
  } finally {
    closeSync(upperFd);
    closeSync(lowerFd);
  }
}

interface Listed {
  name: ByteString;
  mode: number;
  /** Type and permissions, owner, time: what a directory that was only looked into keeps. */
  attributes: string;
  isWhiteout: boolean;
  isOpaque: boolean;
}

class Comparison {
  readonly #found = new Map<string, FilesystemChange['Kind']>();
  readonly #ignored: ReadonlySet<string>;
  #sliceStart = performance.now();

  constructor(ignored: ReadonlySet<string>) {
    this.#ignored = ignored;
  }

  changes(): FilesystemChange[] {
    return [...this.#found]
      .map(([path, Kind]) => ({ Path: Buffer.from(path, 'latin1').toString('utf8'), Kind }))
      .sort((a, b) => (a.Path < b.Path ? -1 : 1));
  }

  /** `lowerFd` undefined: the image has no such directory. `opaque`: what it has there is hidden. */
  async directory(
    upperFd: number,
    lowerFd: number | undefined,
    path: string,
    opaque: boolean,
  ): Promise<void> {
    const upper = list(upperFd);
    const below = lowerFd === undefined ? [] : list(lowerFd);
    const lower = new Map(below.map((entry) => [entry.name, entry]));
    if (opaque) this.#hidden(path, upper, below);
    for (const entry of upper)
      await this.#entry(upperFd, lowerFd, `${path}/${entry.name}`, entry, lower.get(entry.name));
    if (performance.now() - this.#sliceStart < SLICE_MS) return;
    await setImmediate();
    this.#sliceStart = performance.now();
  }

  #hidden(path: string, upper: readonly Listed[], lower: readonly Listed[]): void {
    const kept = new Set(upper.map(({ name }) => name));
    for (const { name } of lower) if (!kept.has(name)) this.#add(`${path}/${name}`, DELETED);
  }

  async #entry(
    upperFd: number,
    lowerFd: number | undefined,
    path: string,
    entry: Listed,
    old: Listed | undefined,
  ): Promise<void> {
    if (this.#ignored.has(path)) return;
    if (entry.isWhiteout) {
      if (old !== undefined) this.#add(path, DELETED);
      return;
    }
    const isDirectory = (entry.mode & S_IFMT) === S_IFDIR;
    const wasDirectory = old !== undefined && (old.mode & S_IFMT) === S_IFDIR;
    if (old === undefined) this.#add(path, ADDED);
    else if (!isDirectory || !wasDirectory || entry.isOpaque || entry.attributes !== old.attributes) {
      this.#add(path, MODIFIED);
    }
    if (!isDirectory) return;
    const child = ifThere(() => openChild(upperFd, bytesOf(entry.name), constants.O_RDONLY | O_DIRECTORY));
    if (child === undefined) return;
    const below = wasDirectory && lowerFd !== undefined ? openLower(lowerFd, entry.name) : undefined;
    try {
      await this.directory(child, below, path, entry.isOpaque);
    } finally {
      closeSync(child);
      if (below !== undefined) closeSync(below);
    }
  }

  /** With whatever is in it, a folder counts as modified, and so do those above. */
  #add(path: string, kind: FilesystemChange['Kind']): void {
    if (!this.#found.has(path)) this.#found.set(path, kind);
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent !== '' && !this.#found.has(parent)) this.#add(parent, MODIFIED);
  }
}

function openLower(lowerFd: number, name: ByteString): number | undefined {
  return ifThere(() => openChild(lowerFd, bytesOf(name), constants.O_RDONLY | O_DIRECTORY));
}

function list(fd: number): Listed[] {
  const listing = archiveAddon().archiveList(fd);
  return listing.names.flatMap((name, at): Listed[] => {
    const field = (index: number): number => listing.fields[at * LIST_FIELDS.count + index] ?? 0;
    const mode = field(LIST_FIELDS.mode);
    const format = mode & S_IFMT;
    if (format === S_IFSOCK) return [];
    const device = [field(LIST_FIELDS.major), field(LIST_FIELDS.minor)];
    const attributes = [mode, field(LIST_FIELDS.uid), field(LIST_FIELDS.gid)];
    const time = [field(LIST_FIELDS.seconds), field(LIST_FIELDS.nanoseconds)];
    return [
      {
        name,
        mode,
        attributes: [...attributes, ...time].join(' '),
        isWhiteout: format === S_IFCHR && device.every((number) => number === 0),
        isOpaque: format === S_IFDIR && isOpaque(listing.xattrs[at]),
      },
    ];
  });
}

function isOpaque(xattrs: readonly (string | Uint8Array)[] | undefined): boolean {
  const at = xattrs?.indexOf('trusted.overlay.opaque') ?? -1;
  const value = at < 0 ? undefined : xattrs?.[at + 1];
  return typeof value === 'object' && value[0] === 0x79;
}

/** Unmounts what a daemon that was killed has left. */
export async function sweepImageTrees(engine: EngineContext): Promise<void> {
  const folder = join(engine.settings.execRoot, 'views');
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    await engine.snapshotter.unmount(join(folder, name));
    rmdirSync(join(folder, name));
  }
}
