/**
 * Volumes: named folders that outlive containers, `volumes/<name>/_data` under the data root, and which containers
 * use which. Names, labels, options and references stand in the database; the folders hold nothing but the users'
 * data. What a volume's options name is mounted on its folder while it is used (volume-mounts.ts).
 */

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Volume, VolumeCreateRequest, VolumeStatus } from '../api/volumes.ts';
import { syncDirectory, TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import type { Database } from '../base/database.ts';
import { ConflictError, EngineError, errnoCode, NotFoundError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { step, stepSync } from '../base/steps.ts';
import type { EventBus } from '../events/event-bus.ts';
import { removeTreeSync } from '../image/layers/native-archive.ts';
import { type DriverOptions, hasForeignOwners, needsMount, parseDriverOptions } from './driver-options.ts';
import { applySizeLimit, checkSizeOption, liftSizeLimit, sizeLimitStatus } from './quota.ts';
import { removeTree } from './remove-tree.ts';
import { removeNowOrLater, retryRemoval } from './retry-removal.ts';
import { snapshotNames } from './snapshot-folder.ts';
import {
  type FillableVolume,
  forgetFilling,
  isFillingMark,
  isHalfFilled,
  isUnfilled,
  markUnfilled,
  undoFilling,
  VolumeFilling,
} from './volume-filling.ts';
import { VolumeHolds } from './volume-holds.ts';
import { type MountableVolume, mountedOn, mountPointsBelow, VolumeMounts } from './volume-mounts.ts';
import { checkDriver, checkVolumeName } from './volume-name.ts';
import { type VolumeRecord, VolumeTable } from './volume-table.ts';

/** Set by Docker on volumes that were made without a name. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

const REMOVING = `${TEMPORARY_PREFIX}remove-`;

export class VolumeStore {
  readonly #table: VolumeTable;
  readonly #root: string;
  readonly #events: EventBus | undefined;
  readonly #mounts = new VolumeMounts();
  readonly #filling = new VolumeFilling();
  /** Whoever works on whole volumes (transfer/): they are not removed meanwhile. */
  readonly holds = new VolumeHolds();

  /** `root` is `<data root>/volumes`; the database was opened with VOLUME_MIGRATIONS. */
  constructor({ database, root, events }: { database: Database; root: string; events?: EventBus }) {
    this.#table = new VolumeTable(database);
    this.#events = events;
    this.#root = root;
    makeDirectory(root, 0o700);
    // Earlier builds let others pass: a set-ID program that a container's root leaves in a volume is the host's root's.
    chmodSync(root, 0o700);
  }

  /** What holds the volume's content and all that belongs to it. */
  folder(name: string): string {
    return this.#folder(name);
  }

  /** Absolute path of the volume's content. */
  path(name: string): string {
    return join(this.#root, name, '_data');
  }

  /**
   * Makes a volume, or answers with the one that has this name already; without a name an anonymous one. With
   * `container` it is in use by that container from the same moment on. Throws InvalidParameter, and NotFound for a
   * driver other than `local`, with Docker's texts (`create x: invalid option: "y"`).
   */
  create(request: VolumeCreateRequest, container?: string): Volume {
    const name = request.Name || randomBytes(32).toString('hex');
    try {
      this.#create(name, request, container);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(error.kind, `create ${name}: ${error.message}`, error.cause);
    }
    return this.#volume(this.#table.get(name));
  }

  #create(name: string, request: VolumeCreateRequest, container: string | undefined): void {
    checkVolumeName(name);
    checkDriver(request.Driver ?? '');
    if (this.has(name)) {
      if (container !== undefined) this.#table.addReference(name, container);
      return;
    }
    const given = request.DriverOpts ?? {};
    const options = parseDriverOptions(given);
    const anonymous = (request.Name ?? '') === '';
    const labels = { ...(request.Labels ?? {}), ...(anonymous ? { [ANONYMOUS_LABEL]: '' } : {}) };
    stepSync('volume-create/folder', name, () => this.#makeFolder(name, options));
    const createdAt = new Date().toISOString();
    stepSync('volume-create/row', name, () =>
      this.#table.insert({ name, labels, createdAt, anonymous, options: { ...given } }, container),
    );
    this.#events?.publish('volume', 'create', name, { driver: 'local' });
  }

  /** A folder that is there already, with somebody's data, becomes the volume's. */
  #makeFolder(name: string, options: DriverOptions): void {
    const path = this.path(name);
    const made = makeDirectory(path, 0o755) !== undefined;
    syncDirectory(this.#root);
    if (options.sizeBytes === 0 || needsMount(options)) return;
    try {
      applySizeLimit(name, path, options.sizeBytes);
    } catch (error) {
      if (made) removeEmpty(this.#folder(name));
      throw error;
    }
  }

  /** With its status. Throws NotFound with Docker's text. */
  get(name: string): Volume {
    const record = this.#table.get(name);
    const status = this.#status(record);
    return { ...this.#volume(record), ...(status === undefined ? {} : { Status: status }) };
  }

  #status({ name, options }: VolumeRecord): VolumeStatus | undefined {
    const parsed = storedOptions(options);
    if (needsMount(parsed)) {
      const mounted = mountedOn(this.path(name));
      return { Mount: { Mounted: mounted.length > 0, FileSystem: mounted.at(-1) ?? '' } };
    }
    return parsed.sizeBytes > 0 ? sizeLimitStatus(this.path(name)) : undefined;
  }

  has(name: string): boolean {
    return this.#table.has(name);
  }

  /** All volumes by name. */
  list(): Volume[] {
    return this.#table.all().map((record) => this.#volume(record));
  }

  /** True for volumes that were made without a name. */
  isAnonymous(name: string): boolean {
    return this.has(name) && this.#table.get(name).anonymous;
  }

  /** IDs of the containers that use it. */
  references(name: string): string[] {
    return this.#table.references(name);
  }

  /** IDs of all containers that use any volume. */
  users(): string[] {
    return this.#table.users();
  }

  /** Names of the volumes that a container uses. */
  volumesOf(container: string): string[] {
    return this.#table.volumesOf(container);
  }

  /** Declares that `container` uses the volume. Idempotent. Throws NotFound. */
  addReference(name: string, container: string): void {
    this.#table.get(name);
    this.#table.addReference(name, container);
  }

  /** The container is gone: none of its volumes is in use by it. Idempotent. */
  releaseReferences(container: string): void {
    this.#table.releaseReferences(container);
  }

  /** The limit that its options name, in bytes; 0 for none, and where a mount has it. Throws NotFound. */
  sizeLimitBytes(name: string): number {
    const options = storedOptions(this.#table.get(name).options);
    return needsMount(options) ? 0 : options.sizeBytes;
  }

  /** Whether something is mounted on its folder while it is used. Throws NotFound. */
  isMountable(name: string): boolean {
    return needsMount(storedOptions(this.#table.get(name).options));
  }

  /** Whether its files keep their owners in user namespaces, as a folder of the host does. Throws NotFound. */
  hasForeignOwners(name: string): boolean {
    return hasForeignOwners(storedOptions(this.#table.get(name).options));
  }

  /** Whether a run, or anybody else, has it mounted. */
  hasUsers(name: string): boolean {
    return this.#mounts.inUse(name);
  }

  /** The file systems that are mounted on its folder now, the topmost last. */
  mountedFileSystems(name: string): string[] {
    return mountedOn(this.path(name));
  }

  /**
   * Makes the volume's content reachable at its path until `release` by the same user (a container's ID or any other
   * unique name). Throws NotFound, and Internal with Docker's text where it cannot be mounted.
   */
  async mount(name: string, user: string): Promise<void> {
    const volume = this.#mountable(name);
    if (!needsMount(volume.options)) return;
    await step('volume/mount', name, () => this.#mounts.mount(volume, user));
  }

  /** `user` no longer needs the volumes' mounts. Idempotent. */
  async release(names: Iterable<string>, user: string): Promise<void> {
    for (const name of new Set(names)) {
      if (!this.has(name)) continue;
      await step('volume/release', name, () => this.#mounts.release(this.#mountable(name), user));
    }
  }

  /** Counts a user whose mounts an earlier daemon made; before `unmountUnused`. */
  adopt(names: Iterable<string>, user: string): void {
    for (const name of names) if (this.has(name) && this.isMountable(name)) this.#mounts.adopt(name, user);
  }

  /** Unmounts what an earlier daemon left mounted and nobody uses. */
  async unmountUnused(): Promise<void> {
    for (const { Name } of this.list()) {
      const volume = this.#mountable(Name);
      if (needsMount(volume.options)) await this.#mounts.unmountUnused(volume);
    }
  }

  #mountable(name: string): MountableVolume {
    return { name, path: this.path(name), options: storedOptions(this.#table.get(name).options) };
  }

  /** Removes the volume and its data. `force` does not mind a missing one. Throws NotFound, Conflict while in use. */
  async remove(name: string, force = false): Promise<void> {
    if (!this.has(name)) {
      if (force) return;
      throw new NotFoundError(`get ${name}: no such volume`);
    }
    this.#requireUnused(name);
    if (!force) refuseSnapshots(name, this.#folder(name));
    const volume = this.#mountable(name);
    if (needsMount(volume.options)) {
      await this.#mounts.unmountUnused(volume);
      if (!this.has(name)) return;
      this.#requireUnused(name);
    }
    if (volume.options.sizeBytes > 0 && existsSync(volume.path)) {
      stepSync('volume-remove/limit', name, () => liftSizeLimit(volume.path));
    }
    const removing = join(this.#root, `${removingPrefix(name)}${randomBytes(6).toString('hex')}`);
    stepSync('volume-remove/rename', name, () => renameIfThere(this.#folder(name), removing));
    stepSync('volume-remove/row', name, () => this.#table.remove(name));
    try {
      await step('volume-remove/tree', name, () => removeTree(removing));
    } catch (error) {
      // There is no volume any more that it could be removed with.
      retryRemoval(removing);
      throw error;
    }
    this.#events?.publish('volume', 'destroy', name, { driver: 'local' });
  }

  /** The folder of a volume whose record did not come to last, where it holds nothing. */
  removeUnrecorded(name: string): void {
    const folder = this.#folder(name);
    if (this.has(name) || !existsSync(folder)) return;
    removeEmpty(folder);
    this.#events?.publish('volume', 'destroy', name, { driver: 'local' });
  }

  /** What is mounted in its folder would be emptied with it. */
  #requireUnused(name: string): void {
    const users = this.references(name);
    this.holds.requireNone(name, 'remove');
    if (users.length > 0) throw new ConflictError(`remove ${name}: volume is in use - [${users.join(', ')}]`);
    if (this.#mounts.inUse(name)) throw new ConflictError(`remove ${name}: volume has active mounts`);
    const path = this.path(name);
    const foreign = mountPointsBelow(this.#folder(name)).find(
      (mountPoint) => !(this.isMountable(name) && mountPoint.endsWith(`/${name}/_data`)),
    );
    if (foreign !== undefined) {
      throw new ConflictError(
        `remove ${name}: ${foreign} is mounted in the volume at ${path}: unmount it first`,
      );
    }
  }

  /**
   * Fills an empty volume with what the image has at `destination` (VolumeFilling.fill). A volume that has something to
   * mount must be mounted.
   */
  copyUp(name: string, rootfs: string, destination: string): Promise<boolean> {
    return this.#filling.fill(this.#fillable(name), rootfs, destination);
  }

  /** A call of `copyUp` is to come: where a crash comes first, the volume is unfilled. */
  expectFilling(name: string): void {
    markUnfilled(this.#folder(name));
  }

  /** Whether a daemon's end has cut its filling short: the next start of its container is to do it again. */
  isUnfilled(name: string): boolean {
    return isUnfilled(this.#folder(name));
  }

  #fillable(name: string): FillableVolume {
    const isShared = (): boolean => this.references(name).length > 1;
    return { name, path: this.path(name), folder: this.#folder(name), isShared };
  }

  #folder(name: string): string {
    return join(this.#root, name);
  }

  /**
   * Finishes what a crash interrupted: removals go on, half-filled volumes are emptied, and folders without a volume,
   * like volumes of containers that were never made, are removed where they hold nothing. Called once, before anything else.
   */
  async sweep(): Promise<void> {
    const entries = readdirSync(this.#root);
    this.#forgetRemoved(entries);
    for (const entry of entries) {
      const folder = join(this.#root, entry);
      if (entry.startsWith(REMOVING)) {
        await removeNowOrLater(folder, 'a removed volume');
      } else if (!this.has(entry)) {
        removeEmpty(folder);
      } else {
        if (isHalfFilled(folder)) this.#settleFilling(entry);
        if (this.#isOfFailedCreate(entry)) await this.remove(entry, true);
      }
    }
  }

  /** A container was to have it, and was not made, on a machine that could not take the volume back either. */
  #isOfFailedCreate(name: string): boolean {
    if (!this.isAnonymous(name) || !this.isUnfilled(name) || this.references(name).length > 0) return false;
    return existsSync(this.path(name)) && readdirSync(this.path(name)).length === 0;
  }

  /** A crash came between the renaming of their folders and the end of their records. */
  #forgetRemoved(entries: readonly string[]): void {
    const removed = entries.filter((entry) => entry.startsWith(REMOVING));
    if (removed.length === 0) return;
    const present = new Set(entries);
    for (const { name } of this.#table.all()) {
      const prefix = removingPrefix(name);
      // Earlier builds had the name itself behind the prefix.
      const isOf = (entry: string): boolean => entry.startsWith(prefix) || entry === `${REMOVING}${name}`;
      if (!present.has(name) && removed.some(isOf)) this.#table.remove(name);
    }
  }

  #settleFilling(name: string): void {
    const volume = this.#fillable(name);
    // Another container may have run on while no daemon did, and written to it.
    if (!this.isMountable(name) && !volume.isShared()) {
      undoFilling(volume);
      return;
    }
    log.warn({ volume: name }, 'the first filling of a volume was cut short: look at what it holds');
    forgetFilling(volume.folder);
  }

  #volume({ name, labels, createdAt, options }: VolumeRecord): Volume {
    return {
      CreatedAt: createdAt.replace(/\.\d+Z$/, 'Z'),
      Driver: 'local',
      Labels: Object.keys(labels).length === 0 ? null : labels,
      Mountpoint: this.path(name),
      Name: name,
      Options: Object.keys(options).length === 0 ? null : options,
      Scope: 'local',
    };
  }
}

/** Of the folders in which removed volumes of this name end: a long name would not fit behind it. */
function removingPrefix(name: string): string {
  return `${REMOVING}${createHash('sha256').update(name).digest('hex').slice(0, 32)}-`;
}

/** Snapshots go with their volume only where that is said. */
function refuseSnapshots(name: string, folder: string): void {
  const snapshots = snapshotNames(folder);
  if (snapshots.length === 0) return;
  throw new ConflictError(
    `remove ${name}: volume has snapshots (${snapshots.join(', ')}): remove them first, or force its removal`,
  );
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
}

/** Folders without a record that hold something are somebody's: they stay. */
function removeEmpty(folder: string): void {
  if (mountPointsBelow(folder).length > 0) return;
  const names = readdirSync(folder);
  if (names.some((name) => name !== '_data' && !isFillingMark(name))) return;
  if (names.includes('_data') && readdirSync(join(folder, '_data')).length > 0) return;
  removeTreeSync(folder);
}

/** They were judged when the volume was made. */
function storedOptions({ type = '', device = '', o = '', size }: Record<string, string>): DriverOptions {
  return { type, device, o, sizeBytes: size === undefined ? 0 : checkSizeOption(size) };
}
