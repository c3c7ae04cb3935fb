/**
 * Containers' user namespaces in the kernel: each bound to a file below the exec root while its container runs or is
 * looked into, so that the runtime, the network and mounts can refer to it and a later daemon finds it. Which mapping
 * a container has is decided in user-namespace-choice.ts and stands in its record.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import { errnoCode, errorMessage, InternalError, NotImplementedError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { asOwner, type MountOwners, mountMappedOverlay } from '../image/layers/mapped-mounts.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import { unmountSync } from '../image/layers/overlay-mount.ts';
import { addon } from '../native/addon.ts';
import { mapText, rootOf, type UserMapping } from '../oci/user-mappings.ts';
import type { Container } from './container.ts';
import type { IdRanges } from './id-ranges.ts';
import { autoPool, type RangePool } from './subordinate-ids.ts';

const MNT_DETACH = 2;
/** statfs(2) of files that stand for namespaces. */
const NSFS_MAGIC = 0x6e736673;
const POOL_AGE_MS = 5000;
const PROBE_PREFIX = `${TEMPORARY_PREFIX}userns-`;
/** What the probe maps root to; the number does not matter. */
const PROBE_ID = 1_879_048_192;

/** `HostConfig` decided at create: a mapping, and whose namespace it is where that is another container's. */
export interface ContainerUserNamespace extends UserMapping {
  /** ID of the container whose namespace it joins; absent for one of its own. */
  joins?: string;
}

/** What a run is in: the mapping, and where the namespace is bound. */
export type EnteredUserNamespace = UserMapping & { path: string };

export interface UserNamespacesOptions {
  execRoot: string;
  dataRoot: string;
  /** The mapping of containers that ask for none (`--userns-remap`). */
  remap: UserMapping | undefined;
  ranges: IdRanges;
}

export class UserNamespaces {
  readonly remap: UserMapping | undefined;
  readonly ranges: IdRanges;
  readonly #directory: string;
  readonly #dataRoot: string;
  #probed: Promise<void> | undefined;
  #pool: { pool: RangePool; readAt: number } | undefined;

  constructor({ execRoot, dataRoot, remap, ranges }: UserNamespacesOptions) {
    this.remap = remap;
    this.ranges = ranges;
    this.#directory = join(execRoot, 'userns');
    this.#dataRoot = dataRoot;
    makeDirectory(this.#directory, 0o700);
    sweepProbes(dataRoot);
  }

  /** Where a container's own namespace is bound while it is pinned. */
  path(containerId: string): string {
    return join(this.#directory, containerId);
  }

  /** Makes a container's namespace; one that is there is taken. Returns where it is and whom files belong to. */
  async pin(containerId: string, mapping: UserMapping): Promise<MountOwners> {
    const path = this.path(containerId);
    if (!isNamespace(path)) {
      rmSync(path, { force: true });
      try {
        await addon().createUserNamespace(path, mapText(mapping.uids), mapText(mapping.gids));
      } catch (error) {
        throw new InternalError(
          `cannot make a user namespace for container ${containerId}: ${errorMessage(error)} (limits: user.max_user_namespaces)`,
          error,
        );
      }
    }
    return { userNamespace: path, ...rootOf(mapping) };
  }

  /** The namespace ends with its last process and mount. One that is gone is no error. */
  unpin(containerId: string): void {
    unbind(this.path(containerId));
  }

  /** Unpins those of containers that do not run, and gives back the ranges of those that do not exist. */
  sweep({ runs, exists }: Record<'runs' | 'exists', (containerId: string) => boolean>): void {
    for (const id of readdirSync(this.#directory)) if (!runs(id)) this.unpin(id);
    for (const id of this.ranges.holders()) if (!exists(id)) this.ranges.giveBack(id);
  }

  /** Where `auto` takes ranges from. Reading it takes a look at every process: for some seconds it is kept. */
  autoPool(): RangePool {
    const now = performance.now();
    if (this.#pool === undefined || now - this.#pool.readAt > POOL_AGE_MS) {
      this.#pool = { pool: autoPool(this.remap, this.#dataRoot), readAt: now };
    }
    return this.#pool.pool;
  }

  /**
   * Throws NotImplemented, with the reason, where this host cannot do it. Found out by doing it, once: a root filesystem
   * with other owners is mounted in the data root and written to.
   */
  async require(): Promise<void> {
    this.#probed ??= probe(this.#dataRoot);
    try {
      await this.#probed;
    } catch (error) {
      this.#probed = undefined;
      throw new NotImplementedError(
        `containers cannot have user namespaces on this host: ${errorMessage(error)} (needed: Linux 5.19, user namespaces, and a file system of ${this.#dataRoot} that can map IDs)`,
        error,
      );
    }
  }
}

export function ownersOf(namespace: EnteredUserNamespace): MountOwners {
  return { userNamespace: namespace.path, ...rootOf(namespace) };
}

/** A namespace with the container's mapping that nobody is in yet; undefined for a container that has the host's. */
export async function ownUserNamespace(
  engine: { userNamespaces: UserNamespaces },
  { id, record }: Container,
): Promise<EnteredUserNamespace | undefined> {
  const { userNamespace } = record;
  if (userNamespace === undefined) return undefined;
  const { userNamespace: path } = await engine.userNamespaces.pin(id, userNamespace);
  return { uids: userNamespace.uids, gids: userNamespace.gids, path };
}

/** Calls `use`, whose files belong to root of a mapping; without one, to the host's. */
export function asRootOf<T>(mapping: UserMapping | undefined, use: () => T): T {
  return mapping === undefined ? use() : asOwner(rootOf(mapping), use);
}

function isNamespace(path: string): boolean {
  return existsSync(path) && statfsSync(path).type === NSFS_MAGIC;
}

function unbind(path: string): void {
  try {
    addon().unmount(path, MNT_DETACH);
  } catch (error) {
    // EINVAL: the file is no mount (any more).
    if (errnoCode(error) !== 'EINVAL' && errnoCode(error) !== 'ENOENT') throw error;
  }
  rmSync(path, { force: true });
}

/** What a daemon that was killed in the middle of a probe has left. */
function sweepProbes(dataRoot: string): void {
  for (const name of readdirSync(dataRoot).filter((entry) => entry.startsWith(PROBE_PREFIX))) {
    endProbe(join(dataRoot, name));
  }
}

function endProbe(folder: string): void {
  for (const part of ['mapped', 'target'].filter((name) => existsSync(join(folder, name)))) {
    for (const name of readdirSync(join(folder, part))) unmountSync(join(folder, part, name));
    unmountSync(join(folder, part));
  }
  unbind(join(folder, 'namespace'));
  removeTreeSync(folder);
}

async function probe(dataRoot: string): Promise<void> {
  const folder = mkdtempSync(join(dataRoot, PROBE_PREFIX));
  const [lower, mapped, target, namespace] = ['lower', 'mapped', 'target', 'namespace'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  try {
    for (const path of [lower, mapped, target, join(folder, 'written')]) mkdirSync(path);
    const [upper, work] = [join(folder, 'written/upper'), join(folder, 'written/work')];
    for (const path of [upper, work]) mkdirSync(path);
    writeFileSync(join(lower, 'file'), 'x');
    await addon().createUserNamespace(namespace, `0 ${PROBE_ID} 1\n`, `0 ${PROBE_ID} 1\n`);
    const owners = { userNamespace: namespace, uid: PROBE_ID, gid: PROBE_ID };
    mountMappedOverlay(
      { lowers: [lower], upper, work, target },
      { lowerRoots: [lower], directory: mapped, owners },
    );
    asOwner(owners, () => writeFileSync(join(target, 'file'), 'y'));
    const seen = statSync(join(target, 'file')).uid;
    const stored = statSync(join(upper, 'file')).uid;
    if (seen !== PROBE_ID || stored !== 0 || readFileSync(join(target, 'file'), 'utf8') !== 'y') {
      throw new Error(`a file of root has the owner ${seen}, and ${stored} on the disk`);
    }
  } finally {
    endProbe(folder);
  }
}
