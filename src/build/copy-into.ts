/**
 * COPY and ADD into a mounted root file system. Every path of the destination is resolved by the kernel inside that
 * root; directories merge, files replace files, times are kept, owners are what the instruction says.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  createReadStream,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, posix } from 'node:path';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { checksumMatches } from '../image/layers/tar/tar-format.ts';
import { detectCompression, inflate } from '../image/layers/work/inflate.ts';
import { lookupGroup, lookupUser } from '../oci/user.ts';
import { at, copyEntry, copyTree, O_PATH, openDirectory, openInRoot } from '../volume/copy-tree.ts';
import { readText, unpackArchive } from './context.ts';
import type { CopySource } from './copy-sources.ts';

export interface CopyJob {
  /** `COPY` or `ADD`, for error texts. */
  instruction: string;
  sources: readonly CopySource[];
  /** Files whose content stands in the Dockerfile. */
  inline: readonly { name: string; content: string }[];
  /** As written; relative paths count from `workingDir`. */
  destination: string;
  workingDir: string;
  /** `user[:group]`, names looked up in the root's own files; empty is 0:0. */
  chown: string;
  /** Octal digits; empty keeps the source's. */
  chmod: string;
  /** Archives are unpacked (ADD). */
  unpack: boolean;
}

interface Attributes {
  owner: { uid: number; gid: number };
  mode: number | undefined;
  signal: AbortSignal;
}

/** Throws InvalidParameter with Docker's texts. */
export async function copyInto(rootfs: string, job: CopyJob, signal: AbortSignal): Promise<void> {
  const slash = job.destination.endsWith('/') || /(^|\/)\.$/.test(job.destination);
  if (job.sources.length + job.inline.length > 1 && !slash) {
    throw new InvalidParameterError(
      `When using ${job.instruction} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const attributes = { owner: ownerOf(rootfs, job.chown), mode: parseMode(job.chmod), signal };
  const target = posix.join('/', job.workingDir, job.destination.startsWith('/') ? '' : job.destination);
  const path = job.destination.startsWith('/') ? posix.normalize(job.destination) : target;
  const root = openDirectory(rootfs);
  try {
    for (const source of job.sources) await copySource(root, source, path, slash, job.unpack, attributes);
    for (const file of job.inline) writeInline(root, file, path, slash, attributes);
  } finally {
    closeSync(root);
  }
}

async function copySource(
  root: number,
  source: CopySource,
  path: string,
  slash: boolean,
  unpack: boolean,
  attributes: Attributes,
): Promise<void> {
  if (source.directory) {
    await copyDirectory(root, source, path, attributes);
    return;
  }
  if (unpack && (await isArchive(source.realPath))) {
    const target = makeDirectories(root, path, attributes.owner);
    try {
      await unpackArchive(
        createReadStream(source.realPath),
        `/proc/self/fd/${target.fd}/.`,
        attributes.signal,
      );
    } finally {
      closeSync(target.fd);
    }
    return;
  }
  const place = filePlace(root, path, slash, basename(source.path), attributes.owner);
  const from = openDirectory(dirname(source.realPath));
  try {
    await copyEntry(from, basename(source.realPath), place.fd, place.name, attributes);
  } finally {
    closeSync(from);
    closeSync(place.fd);
  }
}

async function copyDirectory(root: number, source: CopySource, path: string, attributes: Attributes) {
  const target = makeDirectories(root, path, attributes.owner);
  const from = openDirectory(source.realPath);
  try {
    await copyTree(from, target.fd, { ...attributes, root: target.created });
  } finally {
    closeSync(from);
    closeSync(target.fd);
  }
}

function writeInline(
  root: number,
  file: { name: string; content: string },
  path: string,
  slash: boolean,
  attributes: Attributes,
): void {
  const place = filePlace(root, path, slash, file.name, attributes.owner);
  try {
    const fd = openReplacing(place.fd, place.name);
    try {
      writeFileSync(fd, file.content);
      fchownSync(fd, attributes.owner.uid, attributes.owner.gid);
      fchmodSync(fd, attributes.mode ?? 0o644);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(place.fd);
  }
}

/** A link that stands there is written through inside the root, as a shell's redirection would. */
function openReplacing(directory: number, name: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  try {
    return openSync(at(directory, name), flags, 0o600);
  } catch (error) {
    if (errnoCode(error) === 'EISDIR') throw new InvalidParameterError(`cannot overwrite directory ${name}`);
    throw error;
  }
}

/** The open folder that a file goes into, and its name there. */
function filePlace(root: number, path: string, slash: boolean, name: string, owner: Attributes['owner']) {
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1');
  if (slash || clean === '/' || isDirectory(root, clean)) {
    return { fd: makeDirectories(root, clean, owner).fd, name: basename(name) };
  }
  return { fd: makeDirectories(root, posix.dirname(clean), owner).fd, name: posix.basename(clean) };
}

function isDirectory(root: number, path: string): boolean {
  try {
    closeSync(openInRoot(root, path, O_PATH | constants.O_DIRECTORY));
    return true;
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return false;
    throw error;
  }
}

/** `mkdir -p` inside a root, mode 0755. `created`: the last one was not there. The caller closes `fd`. */
export function makeDirectories(
  root: number,
  path: string,
  owner: { uid: number; gid: number },
): { fd: number; created: boolean } {
  let fd = openInRoot(root, '.', constants.O_RDONLY | constants.O_DIRECTORY);
  let created = false;
  let walked = '';
  for (const name of posix.normalize(`/${path}`).split('/')) {
    if (name === '') continue;
    walked += `/${name}`;
    try {
      created = makeDirectory(fd, name, owner);
      const next = openInRoot(root, walked, constants.O_RDONLY | constants.O_DIRECTORY);
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      if (['ENOTDIR', 'ENOENT', 'ELOOP'].includes(errnoCode(error) ?? '')) {
        throw new InvalidParameterError(`cannot make directory ${walked}: something else is there`, error);
      }
      throw error;
    }
  }
  return { fd, created };
}

function makeDirectory(parent: number, name: string, owner: { uid: number; gid: number }): boolean {
  try {
    mkdirSync(at(parent, name), 0o755);
  } catch (error) {
    if (errnoCode(error) === 'EEXIST') return false;
    throw error;
  }
  // The umask may have taken bits away. Nobody else is in this root, so the name is still ours.
  chmodSync(at(parent, name), 0o755);
  chownSync(at(parent, name), owner.uid, owner.gid);
  return true;
}

/** Without a group, the user's word is also the group's. */
function ownerOf(rootfs: string, chown: string): { uid: number; gid: number } {
  if (chown === '') return { uid: 0, gid: 0 };
  const parts = chown.split(':');
  if (parts.length > 2) throw new InvalidParameterError(`invalid chown string format: ${chown}`);
  const [user = '', group = user] = parts;
  const passwd = /^\d+$/.test(user) ? '' : (readText(rootfs, '/etc/passwd') ?? '');
  const groups = /^\d+$/.test(group) ? '' : (readText(rootfs, '/etc/group') ?? '');
  return { uid: lookupUser(user, passwd, '').uid, gid: group === '' ? 0 : lookupGroup(group, groups) };
}

function parseMode(chmod: string): number | undefined {
  if (chmod === '') return undefined;
  if (!/^[0-7]{1,5}$/.test(chmod) || Number.parseInt(chmod, 8) > 0o7777) {
    throw new InvalidParameterError(
      `invalid chmod parameter: '${chmod}'. it should be octal string and between 0 and 07777`,
    );
  }
  return Number.parseInt(chmod, 8);
}

/** A regular file that is a tar, compressed or not, by its first header. Devices and FIFOs are not opened. */
async function isArchive(path: string): Promise<boolean> {
  if (!lstatSync(path).isFile()) return false;
  const stream = createReadStream(path, { end: 1024 * 1024 });
  const parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const part of inflate(stream, detectCompression(readHead(path)))) {
      parts.push(Buffer.from(part));
      length += part.length;
      if (length >= 512) break;
    }
  } catch (error) {
    // Broken or cut compressed data: a file like any other.
    if (!(error instanceof InvalidParameterError)) throw error;
  } finally {
    stream.destroy();
  }
  const block = Buffer.concat(parts).subarray(0, 512);
  return block.length === 512 && block[0] !== 0 && checksumMatches(block);
}

function readHead(path: string): Buffer {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    const head = Buffer.alloc(6);
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}
