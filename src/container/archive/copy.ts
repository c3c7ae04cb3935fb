/** `docker cp`: what stands at a path of a container, out of it as a tar, and a tar into it. */

import { closeSync } from 'node:fs';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import type { ContainerPathStat } from '../../api/containers.ts';
import {
  EngineError,
  errorMessage,
  ForbiddenError,
  InternalError,
  InvalidParameterError,
} from '../../base/errors.ts';
import { step } from '../../base/steps.ts';
import { lookupUser } from '../../oci/user.ts';
import type { Container } from '../container.ts';
import type { EngineContext } from '../engine-context.ts';
import { readRootFile } from '../root-file.ts';
import { archiveOwners, asContainerRoot } from './archive-owners.ts';
import { withFilesystem } from './filesystem.ts';
import { byDescriptor, pathInside, refuseKernelFilesystem } from './inside.ts';
import { packTree } from './pack.ts';
import { type FoundPath, findPath } from './path-stat.ts';
import { readArchive } from './read-archive.ts';
import { ContainerUnpacker } from './unpack.ts';

export interface CopyInOptions {
  path: string;
  noOverwriteDirNonDir: boolean;
  /** Entries belong to the user that the container is configured with. */
  copyOwner: boolean;
}

/** Throws NotFound with Docker's text. */
export async function statPath(
  engine: EngineContext,
  container: Container,
  path: string,
  reference: string,
): Promise<ContainerPathStat> {
  return await withFilesystem(engine, container, async (rootFd) =>
    withFound(rootFd, path, reference, async ({ stat }) => stat),
  );
}

/**
 * Calls `begin` with what the path is, once that is known, and passes the tar to what it returns. Throws NotFound
 * before `begin`, for a path that is not there.
 */
export async function copyOut(
  engine: EngineContext,
  container: Container,
  request: { path: string; reference: string; signal: AbortSignal },
  begin: (stat: ContainerPathStat) => (chunk: Buffer) => Promise<void>,
): Promise<void> {
  const { path, reference } = request;
  await withFilesystem(engine, container, async (rootFd, removed) =>
    withFound(rootFd, path, reference, async ({ parentFd, base, stat, fd }) => {
      refuseKernelFilesystem(fd, path);
      const write = begin(stat);
      engine.events.container(container, 'archive-path');
      const signal = AbortSignal.any([request.signal, removed]);
      const owners = archiveOwners(container);
      await packTree({ parentFd, base, name: stat.name, owners }, write, signal);
    }),
  );
}

/** Throws NotFound, InvalidParameter, Forbidden (a read-only place) with Docker's texts. */
export async function copyIn(
  engine: EngineContext,
  container: Container,
  request: CopyInOptions & { reference: string; archive: Readable; signal: AbortSignal },
): Promise<void> {
  const { path, reference, archive } = request;
  await withFilesystem(engine, container, async (rootFd, removed) => {
    // The slash: the folder is meant, also where the path is a link to it.
    const target = await withFound(rootFd, followed(path), reference, async ({ fd, isDirectory }) => {
      if (!isDirectory) throw new InvalidParameterError('extraction point is not a directory');
      refuseKernelFilesystem(fd, path);
      return pathInside(rootFd, fd);
    }).catch((error: unknown) => notDirectory(rootFd, path, reference, error));
    refuseReadOnly(container, target);
    const owners = archiveOwners(container);
    const unpacker = new ContainerUnpacker({
      rootFd,
      path: target,
      noOverwriteDirNonDir: request.noOverwriteDirNonDir,
      owner: request.copyOwner ? configuredOwner(container, rootFd) : undefined,
      owners,
    });
    try {
      const sink = asContainerRoot(container.record.userNamespace, unpacker);
      await step('cp/unpack', container.id, () =>
        readArchive(archive, sink, AbortSignal.any([request.signal, removed])),
      );
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new InternalError(`Error processing tar file: ${errorMessage(error)}`);
    } finally {
      unpacker.close();
    }
    engine.events.container(container, 'extract-to-dir');
  });
}

function followed(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** A path with a slash that is not found may be there as a file. */
async function notDirectory(rootFd: number, path: string, reference: string, error: unknown): Promise<never> {
  await withFound(rootFd, path, reference, async () => undefined);
  if (error instanceof InvalidParameterError) throw error;
  throw new InvalidParameterError('extraction point is not a directory');
}

async function withFound<T>(
  rootFd: number,
  path: string,
  reference: string,
  use: (found: FoundPath) => Promise<T>,
): Promise<T> {
  const found = findPath(rootFd, path, reference);
  try {
    return await use(found);
  } finally {
    closeSync(found.fd);
    closeSync(found.parentFd);
  }
}

/** The mount that a path lies in decides; without one, the root filesystem. */
function refuseReadOnly(container: Container, path: string): void {
  const { mounts, hostConfig } = container.record;
  const inside = mounts
    .filter(
      ({ destination }) => path === destination || path.startsWith(`${posix.normalize(`${destination}/`)}`),
    )
    .sort((a, b) => b.destination.length - a.destination.length);
  const [mount] = inside;
  if (mount?.readOnly === true) throw new ForbiddenError('mounted volume is marked read-only');
  if (mount === undefined && hostConfig.ReadonlyRootfs === true) {
    throw new ForbiddenError('container rootfs is marked read-only');
  }
}

/** Undefined where the container runs as root by default. */
function configuredOwner(container: Container, rootFd: number): { uid: number; gid: number } | undefined {
  const user = container.record.config.User ?? '';
  if (user === '') return undefined;
  const root = byDescriptor(rootFd);
  const [passwd, group] = [readRootFile(root, '/etc/passwd'), readRootFile(root, '/etc/group')];
  const { uid, gid } = lookupUser(user, passwd, group);
  return { uid, gid };
}
