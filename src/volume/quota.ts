/**
 * Size limits of volumes (`-o size=10G`) and of containers (`--storage-opt size=10G`): project quotas of the file system
 * that holds them, where it is mounted with `prjquota` (ext4 with the project feature, xfs). A limited folder is a
 * project of its own, and everything made in it belongs to that. The kernel keeps it all: the folder knows its project,
 * the project its limit, also over a reboot; which numbers are taken is asked of the kernel as well.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import type { VolumeStatus } from '../api/volumes.ts';
import { errnoCode, InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { readMountTable } from '../image/layers/mount-table.ts';
import { addon } from '../native/addon.ts';

/** Projects are numbered from here, so that those of /etc/projid and of other engines are not met. */
const FIRST_PROJECT = 0x6d79_0000;
const PROJECTS = 0x1_0000;
/** Below this not even an empty volume or container fits. */
const MIN_BYTES = 64 * 1024;
/** A limit that is none, and still says that the project's number is taken. */
const UNLIMITED_BYTES = 2 ** 50;

const UNITS = ['', 'k', 'm', 'g', 't', 'p'];
const SIZE = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i;

export interface SizeLimit {
  limitBytes: number;
  /** On disk, the file system's own blocks for it included. */
  usedBytes: number;
}

/** The bytes of a `size` option: `10G`, `512m`, `1048576`; units are powers of 1024. Throws InvalidParameter. */
export function checkSizeOption(text: string): number {
  const match = SIZE.exec(text.trim());
  if (match === null) throw new InvalidParameterError(`invalid size: '${text}'`);
  const [, number = '', unit = ''] = match;
  const bytes = Math.round(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
  if (!Number.isSafeInteger(bytes)) throw new InvalidParameterError(`invalid size: '${text}' is too large`);
  if (bytes < MIN_BYTES) {
    throw new InvalidParameterError(`invalid size: '${text}' is less than ${MIN_BYTES / 1024}k`);
  }
  return bytes;
}

/** Undefined where the file system that holds `path` can limit trees; else why it cannot, as the end of a sentence. */
export function sizeLimitObstacle(path: string): string | undefined {
  const fd = openDirectory(path);
  try {
    if (addon().projectQuotas(fd) === 'enforced') return undefined;
    const type = fileSystemOf(fd);
    const where = `the file system of ${path} (${type})`;
    if (type === 'ext4' || type === 'xfs') return `${where} is mounted without prjquota`;
    return `${where} has none; ext4 with the project feature and xfs have, mounted with prjquota`;
  } finally {
    closeSync(fd);
  }
}

function fileSystemOf(fd: number): string {
  const { dev } = fstatSync(fd);
  const device = `${((dev >>> 8) & 0xfff).toString()}:${((dev & 0xff) | ((dev >>> 12) & 0xfff00)).toString()}`;
  return readMountTable().findLast((mount) => mount.device === device)?.fileSystem ?? 'unknown';
}

/** `limitTree` for a volume. */
export function applySizeLimit(volume: string, path: string, bytes: number): void {
  limitTree(`volume ${volume}`, path, bytes);
}

/**
 * Limits the tree at `path` to `bytes` on disk, in place of an earlier limit. Only what is made in it from now on is
 * counted: call it for an empty directory. `owner` (`volume cache`) is whom errors name. Throws Unavailable where the
 * file system cannot.
 */
export function limitTree(owner: string, path: string, bytes: number): void {
  const obstacle = sizeLimitObstacle(path);
  if (obstacle !== undefined) {
    throw new UnavailableError(`${owner}: size limits need project quotas: ${obstacle}`);
  }
  const fd = openDirectory(path);
  try {
    const native = addon();
    const old = native.projectOf(fd);
    const project = isOurs(old) ? old : freeProject(owner, fd);
    native.limitProject(fd, project, bytes);
    if (project !== old) native.setProject(fd, project);
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    throw new UnavailableError(`${owner}: cannot limit the size of ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

/** A project that limits nothing and holds nothing: its number was never given, or is free again. */
function freeProject(owner: string, fd: number): number {
  const start = hash(owner);
  for (let step = 0; step < PROJECTS; step++) {
    const project = FIRST_PROJECT + ((start + step) % PROJECTS);
    const { usedBytes, limitBytes } = addon().projectUsage(fd, project);
    if (usedBytes === 0 && limitBytes === 0) return project;
  }
  throw new UnavailableError(`${owner}: all ${PROJECTS} projects of its file system are taken`);
}

function hash(text: string): number {
  let value = 0;
  for (const byte of Buffer.from(text)) value = (value * 31 + byte) >>> 0;
  return value;
}

/** The limit of the tree at `path` and what it takes; undefined where it has none. */
export function sizeLimitOf(path: string): SizeLimit | undefined {
  let fd: number;
  try {
    fd = openDirectory(path);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const project = addon().projectOf(fd);
    if (!isOurs(project) || addon().projectQuotas(fd) === 'off') return undefined;
    const { usedBytes, limitBytes } = addon().projectUsage(fd, project);
    return limitBytes === 0 ? undefined : { usedBytes, limitBytes };
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes the empty directory `path` a part of what the limit of the tree at `of` counts: what is put together there can
 * be renamed into that tree. Nothing where that has no limit.
 */
export function shareSizeLimit(path: string, of: string): void {
  const project = projectOfTree(of);
  if (project === 0) return;
  const fd = openDirectory(path);
  try {
    addon().setProject(fd, project);
  } finally {
    closeSync(fd);
  }
}

/** Lets the tree at `path` grow as it likes until its limit is applied again; it keeps its project. */
export function suspendSizeLimit(path: string): void {
  const project = projectOfTree(path);
  if (project === 0) return;
  const fd = openDirectory(path);
  try {
    addon().limitProject(fd, project, UNLIMITED_BYTES);
  } finally {
    closeSync(fd);
  }
}

/** 0 where it has none. */
function projectOfTree(path: string): number {
  const fd = openDirectory(path);
  try {
    const project = addon().projectOf(fd);
    return isOurs(project) ? project : 0;
  } finally {
    closeSync(fd);
  }
}

/** Gives a project back: call it before its tree is removed. Nothing where it has none, or where nothing is there. */
export function liftSizeLimit(path: string): void {
  if (sizeLimitOf(path) === undefined) return;
  const fd = openDirectory(path);
  try {
    addon().limitProject(fd, addon().projectOf(fd), 0);
  } finally {
    closeSync(fd);
  }
}

/** What inspect shows in the Status of a limited volume: bytes. */
export function sizeLimitStatus(path: string): VolumeStatus | undefined {
  const limit = sizeLimitOf(path);
  if (limit === undefined) return undefined;
  return { Size: { LimitBytes: limit.limitBytes, UsedBytes: limit.usedBytes } };
}

function isOurs(project: number): boolean {
  return project >= FIRST_PROJECT && project < FIRST_PROJECT + PROJECTS;
}

function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}
