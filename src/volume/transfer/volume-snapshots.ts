/**
 * Snapshots of volumes: copies of their content under names of their own, beside it (snapshot-folder.ts), which nothing
 * mounts and nobody writes to. They share their files with the volume where the file system can, and go with it.
 */

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { VolumeSnapshot } from '../../api/volumes.ts';
import { syncDirectory, TEMPORARY_PREFIX, writeFileAtomic } from '../../base/atomic-file.ts';
import { ConflictError, errorMessage, InvalidParameterError, NotFoundError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step, stepSync } from '../../base/steps.ts';
import type { EventBus } from '../../events/event-bus.ts';
import { addon } from '../../native/addon.ts';
import { applySizeLimit, shareSizeLimit, suspendSizeLimit } from '../quota.ts';
import { snapshotNames, snapshotsFolder } from '../snapshot-folder.ts';
import type { VolumeStore } from '../volume-store.ts';
import { discard, exchangeEntries, isExchanging, makeStaging } from './staging.ts';
import { runTransfer } from './transfer-thread.ts';
import { explained } from './volume-transfers.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const DESCRIPTION = 'snapshot.json';

export interface SnapshotsBackend {
  store: VolumeStore;
  events: EventBus;
  /** IDs of the running containers that use a volume. */
  runningUsers(volume: string): string[];
}

export class VolumeSnapshots {
  readonly #store: VolumeStore;
  readonly #events: EventBus;
  readonly #runningUsers: (volume: string) => string[];

  constructor({ store, events, runningUsers }: SnapshotsBackend) {
    this.#store = store;
    this.#events = events;
    this.#runningUsers = runningUsers;
  }

  /** Oldest first. Throws NotFound for a volume that is not there. */
  list(volume: string): VolumeSnapshot[] {
    this.#store.get(volume);
    const folder = this.#store.folder(volume);
    return snapshotNames(folder)
      .map((name) => describe(volume, name, join(snapshotsFolder(folder), name)))
      .sort((a, b) => (a.CreatedAt < b.CreatedAt ? -1 : 1));
  }

  /**
   * Keeps what the volume holds now; without a name under a random one. Containers may write meanwhile: stop or pause
   * them where files have to fit together. Throws NotFound, Conflict where the name is taken, InvalidParameter for
   * volumes that mount something: their content is elsewhere.
   */
  async create(volume: string, wanted: string, signal: AbortSignal): Promise<VolumeSnapshot> {
    this.#requirePlain(volume, 'snapshot');
    const name = wanted === '' ? randomBytes(6).toString('hex') : wanted;
    if (!NAME.test(name)) {
      throw new InvalidParameterError(
        `invalid snapshot name "${name}": it must match ${String(NAME).slice(1, -1)}`,
      );
    }
    const letGo = this.#store.holds.hold(volume, 'read', 'snapshot', 'copied for a snapshot');
    try {
      const parent = snapshotsFolder(this.#store.folder(volume));
      const target = join(parent, name);
      const requireFree = (): void => {
        if (existsSync(target)) {
          throw new ConflictError(`snapshot ${volume}: it has a snapshot "${name}" already`);
        }
      };
      requireFree();
      const staging = stepSync('snapshot-create/folder', volume, () => makeStaging(parent));
      try {
        await step('snapshot-create/copy', volume, () =>
          runTransfer({ kind: 'copy', from: this.#store.path(volume), to: staging.data }, {}, signal),
        );
        stepSync('snapshot-create/description', volume, () =>
          writeFileAtomic(
            join(staging.folder, DESCRIPTION),
            JSON.stringify({ CreatedAt: new Date().toISOString() }),
          ),
        );
        requireFree();
        stepSync('snapshot-create/rename', volume, () => {
          renameSync(staging.folder, target);
          syncDirectory(parent);
        });
      } catch (error) {
        throw explained(error, `snapshot ${volume}`);
      } finally {
        await discard(staging.folder);
      }
      this.#tell('snapshot-create', volume, name);
      return describe(volume, name, target);
    } finally {
      letGo();
    }
  }

  /**
   * Makes the volume what it was. Where no container runs on it, that happens at one stroke. With running ones it is
   * refused, unless `force` has its entries exchanged one by one before their eyes; a crash in between is finished by the
   * next daemon. The snapshot stays. Throws NotFound, Conflict.
   */
  async restore(volume: string, name: string, force: boolean, signal: AbortSignal): Promise<void> {
    this.#requirePlain(volume, 'restore');
    const snapshot = this.#find(volume, name);
    const letGo = this.#store.holds.hold(volume, 'write', 'restore', 'restored');
    try {
      const users = this.#runningUsers(volume);
      if (users.length > 0 && !force) throw inUse(volume, users);
      const path = this.#store.path(volume);
      const staging = stepSync('snapshot-restore/folder', volume, () =>
        makeStaging(this.#store.folder(volume)),
      );
      const sizeBytes = this.#store.sizeLimitBytes(volume);
      try {
        // For a while both contents are there, and count.
        if (sizeBytes > 0) suspendSizeLimit(path);
        shareSizeLimit(staging.data, path);
        await step('snapshot-restore/copy', volume, () =>
          runTransfer({ kind: 'copy', from: join(snapshot, '_data'), to: staging.data }, {}, signal),
        );
        await this.#exchange(volume, staging, force);
      } catch (error) {
        throw explained(error, `restore ${volume}`);
      } finally {
        // What a broken exchange has left there is wanted by the next daemon.
        if (!isExchanging(this.#store.folder(volume))) await discard(staging.folder);
        if (sizeBytes > 0) applySizeLimit(volume, path, sizeBytes);
      }
      this.#tell('snapshot-restore', volume, name);
    } finally {
      letGo();
    }
  }

  /** A container may have been started while the copy was made: whether any runs is asked again. */
  async #exchange(volume: string, staging: { folder: string; data: string }, force: boolean): Promise<void> {
    const users = this.#runningUsers(volume);
    if (users.length === 0) {
      stepSync('snapshot-restore/exchange', volume, () => {
        addon().exchange(this.#store.path(volume), staging.data);
        syncDirectory(this.#store.folder(volume));
      });
    } else if (force) await exchangeEntries(this.#store.folder(volume), basename(staging.folder));
    else throw inUse(volume, users);
  }

  /** Throws NotFound. */
  async remove(volume: string, name: string): Promise<void> {
    const snapshot = this.#find(volume, name);
    const letGo = this.#store.holds.hold(volume, 'read', 'remove snapshot of', 'freed of a snapshot');
    try {
      const removing = join(
        snapshotsFolder(this.#store.folder(volume)),
        `${TEMPORARY_PREFIX}remove-${randomBytes(6).toString('hex')}`,
      );
      stepSync('snapshot-remove/rename', volume, () => renameSync(snapshot, removing));
      await step('snapshot-remove/tree', volume, () => discard(removing));
    } finally {
      letGo();
    }
    this.#tell('snapshot-remove', volume, name);
  }

  #requirePlain(volume: string, verb: string): void {
    this.#store.get(volume);
    if (!this.#store.isMountable(volume)) return;
    throw new InvalidParameterError(
      `${verb} ${volume}: snapshots are kept of volumes whose content lies here, and its options mount another: export or clone it`,
    );
  }

  #find(volume: string, name: string): string {
    this.#store.get(volume);
    const folder = this.#store.folder(volume);
    if (!snapshotNames(folder).includes(name)) {
      throw new NotFoundError(`get ${volume}: no such snapshot: ${name}`);
    }
    return join(snapshotsFolder(folder), name);
  }

  #tell(action: string, volume: string, snapshot: string): void {
    this.#events.publish('volume', action, volume, { driver: 'local', snapshot });
  }
}

function inUse(volume: string, users: readonly string[]): ConflictError {
  const shown = users.map((id) => id.slice(0, 12)).join(', ');
  return new ConflictError(
    `restore ${volume}: volume is in use by running containers [${shown}]: stop them, or force it`,
  );
}

function describe(volume: string, name: string, folder: string): VolumeSnapshot {
  return { Name: name, Volume: volume, CreatedAt: createdAt(folder) };
}

/** The folder's own time where the description is not to be read. */
function createdAt(folder: string): string {
  try {
    const { CreatedAt } = JSON.parse(readFileSync(join(folder, DESCRIPTION), 'utf8')) as VolumeSnapshot;
    if (typeof CreatedAt === 'string') return CreatedAt;
  } catch (error) {
    log.warn({ snapshot: folder, error: errorMessage(error) }, "cannot read a snapshot's description");
  }
  return statSync(folder).mtime.toISOString();
}
