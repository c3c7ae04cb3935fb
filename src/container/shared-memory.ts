/**
 * /dev/shm of containers that share their IPC namespace (`--ipc shareable`, `--ipc container:NAME`): a tmpfs in the
 * bundle of the one that shares it, which all of them bind. Others get a tmpfs from the runtime, which nobody else
 * sees.
 */
import { join } from 'node:path';
import { ConflictError, errnoCode } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { addon } from '../native/addon.ts';
import { DEFAULT_SHM_SIZE } from '../oci/mounts.ts';
import { rootOf } from '../oci/user-mappings.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { sharedWith } from './namespaces.ts';
import { bundlesDirectory } from './paths.ts';

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
/** Chains of containers that join one another are as long as names allow; a circle cannot be started. */
const MAX_CHAIN = 32;

/**
 * The host's folder to bind at /dev/shm; undefined for a container that shares nothing. Makes it for one that is
 * shareable. Throws Conflict, in Docker's words, where the other container does not share its own.
 */
export function sharedMemory(
  engine: EngineContext,
  container: Container,
  bundle: string,
): string | undefined {
  const { hostConfig, userNamespace } = container.record;
  const { IpcMode, ShmSize } = hostConfig;
  if (IpcMode === 'shareable') {
    const root = userNamespace === undefined ? { uid: 0, gid: 0 } : rootOf(userNamespace);
    return mountSharedMemory(bundle, ShmSize || DEFAULT_SHM_SIZE, root);
  }
  let owner = sharedWith(engine, IpcMode);
  if (owner === undefined) return undefined;
  const { id } = owner;
  for (let length = 0; length < MAX_CHAIN; length++) {
    const mode = owner.record.hostConfig.IpcMode;
    if (mode === 'host') return '/dev/shm';
    if (mode === 'shareable') return folderIn(join(bundlesDirectory(engine.settings.execRoot), owner.id));
    const next = sharedWith(engine, mode);
    if (next === undefined) break;
    owner = next;
  }
  throw new ConflictError(
    `can't join IPC of container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
  );
}

function folderIn(bundle: string): string {
  return join(bundle, 'shm');
}

function mountSharedMemory(
  bundle: string,
  bytes: number,
  { uid, gid }: { uid: number; gid: number },
): string {
  const folder = folderIn(bundle);
  makeDirectory(folder, 0o700);
  releaseSharedMemory(bundle);
  const options = `mode=1777,size=${bytes},uid=${uid},gid=${gid}`;
  addon().mount('shm', folder, 'tmpfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
  return folder;
}

/** Idempotent. Those who have joined keep their own mount of it. */
export function releaseSharedMemory(bundle: string): void {
  try {
    addon().unmount(folderIn(bundle), MNT_DETACH);
  } catch (error) {
    // EINVAL: no mount point.
    if (!['ENOENT', 'EINVAL'].includes(errnoCode(error) ?? '')) throw error;
  }
}
