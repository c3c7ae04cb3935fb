/**
 * Volumes: named folders that outlive containers, `volumes/<name>/_data` under the data root, and which containers
 * use which. Only the plain `local` driver. Names, labels and references stand in the database; the folders hold
 * nothing but the users' data.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Volume, VolumeCreateRequest } from '../api/volumes.ts';
import { syncDirectory, TEMPORARY_PREFIX } from '../base/atomic-file.ts';
import { type Database, type Migrations, transaction } from '../base/database.ts';
import {
  ConflictError,
  errnoCode,
  InvalidParameterError,
  NotFoundError,
  NotImplementedError,
} from '../base/errors.ts';
import type { EventBus } from '../events/event-bus.ts';
import { copyTree, emptyDirectory, openDirectory, openInRoot } from './copy-tree.ts';

export const VOLUME_MIGRATIONS: Migrations = {
  concept: 'volume',
  steps: [
    `CREATE TABLE volumes (
       name TEXT PRIMARY KEY,
       labels TEXT NOT NULL,
       created_at TEXT NOT NULL,
       anonymous INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE volume_references (
       volume TEXT NOT NULL REFERENCES volumes (name) ON DELETE CASCADE,
       container TEXT NOT NULL,
       PRIMARY KEY (volume, container)
     ) STRICT;
     CREATE INDEX volume_references_container ON volume_references (container);`,
  ],
};

/** Set by Docker on volumes that were made without a name. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Marks, beside `_data`, a first filling that has not ended. */
const FILLING = 'filling';
const REMOVING = `${TEMPORARY_PREFIX}remove-`;

/** Throws InvalidParameter with Docker's texts for what cannot be a local volume's name. */
export function checkVolumeName(name: string): void {
  if (name.length === 1) {
    throw new InvalidParameterError(
      'volume name is too short, names should be at least two alphanumeric characters',
    );
  }
  if (!NAME.test(name)) {
    throw new InvalidParameterError(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  if (name.length > 255)
    throw new InvalidParameterError(`volume name of ${name.length} characters is too long`);
}

interface VolumeRow {
  name: string;
  labels: string;
  created_at: string;
  anonymous: number;
}

export class VolumeStore {
  readonly #db: Database;
  readonly #root: string;
  readonly #events: EventBus | undefined;
  /** The tail of each volume's queue of fillings. */
  readonly #filling = new Map<string, Promise<boolean>>();

  /** `root` is `<data root>/volumes`; the database was opened with VOLUME_MIGRATIONS. */
  constructor({ database, root, events }: { database: Database; root: string; events?: EventBus }) {
    this.#db = database;
    this.#events = events;
    this.#root = root;
    mkdirSync(root, { recursive: true, mode: 0o711 });
  }

  /** Absolute path of the volume's content. */
  path(name: string): string {
    return join(this.#root, name, '_data');
  }

  /**
   * Makes a volume, or answers with the one that has this name already; without a name an anonymous one. With
   * `container` it is in use by that container from the same moment on. Throws InvalidParameter, NotImplemented.
   */
  create(request: VolumeCreateRequest, container?: string): Volume {
    const driver = request.Driver ?? '';
    if (driver !== '' && driver !== 'local') {
      throw new NotImplementedError(
        `create ${request.Name ?? ''}: volume driver "${driver}" is not implemented`,
      );
    }
    const options = Object.entries(request.DriverOpts ?? {}).map(([key, value]) => `${key}=${value}`);
    if (options.length > 0) {
      throw new NotImplementedError(
        `create ${request.Name ?? ''}: volume driver options (${options.join(',')}) are not implemented`,
      );
    }
    const anonymous = (request.Name ?? '') === '';
    const name = anonymous ? randomBytes(32).toString('hex') : (request.Name ?? '');
    checkVolumeName(name);
    const labels = { ...(request.Labels ?? {}), ...(anonymous ? { [ANONYMOUS_LABEL]: '' } : {}) };
    mkdirSync(this.path(name), { recursive: true, mode: 0o755 });
    syncDirectory(this.#root);
    const made = transaction(this.#db, () => {
      const { changes } = this.#db
        .prepare('INSERT INTO volumes VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING')
        .run(name, JSON.stringify(labels), new Date().toISOString(), anonymous ? 1 : 0);
      if (container !== undefined) this.#insertReference(name, container);
      return changes > 0;
    });
    if (made) this.#events?.publish('volume', 'create', name, { driver: 'local' });
    return this.get(name);
  }

  /** Throws NotFound with Docker's text. */
  get(name: string): Volume {
    const row = this.#db.prepare('SELECT * FROM volumes WHERE name = ?').get(name);
    if (row === undefined) throw new NotFoundError(`get ${name}: no such volume`);
    return this.#volume(row as unknown as VolumeRow);
  }

  has(name: string): boolean {
    return this.#db.prepare('SELECT 1 FROM volumes WHERE name = ?').get(name) !== undefined;
  }

  /** All volumes by name. */
  list(): Volume[] {
    const rows = this.#db.prepare('SELECT * FROM volumes ORDER BY name').all();
    return rows.map((row) => this.#volume(row as unknown as VolumeRow));
  }

  /** True for volumes that were made without a name: they go with `docker rm -v` and `--rm`. */
  isAnonymous(name: string): boolean {
    return this.#db.prepare('SELECT 1 FROM volumes WHERE name = ? AND anonymous = 1').get(name) !== undefined;
  }

  /** IDs of the containers that use it. */
  references(name: string): string[] {
    return this.#db
      .prepare('SELECT container FROM volume_references WHERE volume = ? ORDER BY container')
      .all(name)
      .map((row) => String(row['container']));
  }

  /** Names of the volumes that a container uses. */
  volumesOf(container: string): string[] {
    return this.#db
      .prepare('SELECT volume FROM volume_references WHERE container = ? ORDER BY volume')
      .all(container)
      .map((row) => String(row['volume']));
  }

  /** Declares that `container` uses the volume. Idempotent. Throws NotFound. */
  addReference(name: string, container: string): void {
    this.get(name);
    this.#insertReference(name, container);
  }

  /** The container is gone: none of its volumes is in use by it. Idempotent. */
  releaseReferences(container: string): void {
    this.#db.prepare('DELETE FROM volume_references WHERE container = ?').run(container);
  }

  /** Removes the volume and its data. `force` does not mind a missing one. Throws NotFound, Conflict while in use. */
  async remove(name: string, force = false): Promise<void> {
    if (!this.has(name)) {
      if (force) return;
      throw new NotFoundError(`get ${name}: no such volume`);
    }
    const users = this.references(name);
    if (users.length > 0) throw new ConflictError(`remove ${name}: volume is in use - [${users.join(', ')}]`);
    const removing = join(this.#root, `${REMOVING}${name}`);
    rmSync(removing, { recursive: true, force: true });
    renameIfThere(join(this.#root, name), removing);
    this.#db.prepare('DELETE FROM volumes WHERE name = ?').run(name);
    await rm(removing, { recursive: true, force: true });
    this.#events?.publish('volume', 'destroy', name, { driver: 'local' });
  }

  /**
   * Fills an empty volume with what the image has at `destination`, ownership and modes of that folder included.
   * `rootfs` is the container's mounted root; the path is resolved inside it. Answers whether anything was copied:
   * not for a volume that has content, nor where the image has no folder there.
   */
  copyUp(name: string, rootfs: string, destination: string): Promise<boolean> {
    const before = this.#filling.get(name) ?? Promise.resolve(false);
    const run = before.catch(() => false).then(() => this.#fill(name, rootfs, destination));
    this.#filling.set(name, run);
    const forget = () => {
      if (this.#filling.get(name) === run) this.#filling.delete(name);
    };
    run.then(forget, forget);
    return run;
  }

  async #fill(name: string, rootfs: string, destination: string): Promise<boolean> {
    if (readdirSync(this.path(name)).length > 0) return false;
    const source = openFolder(rootfs, destination);
    if (source === undefined) return false;
    const marker = join(this.#root, name, FILLING);
    writeFileSync(marker, '');
    const target = openDirectory(this.path(name));
    try {
      await copyTree(source, target, { root: true });
    } catch (error) {
      emptyDirectory(target);
      throw error;
    } finally {
      closeSync(source);
      closeSync(target);
      rmSync(marker, { force: true });
    }
    return true;
  }

  /**
   * Finishes what a crash interrupted: removals go on, half-filled volumes are emptied, and folders without a volume
   * are removed where they hold nothing. Called once, before anything else.
   */
  async sweep(): Promise<void> {
    for (const entry of readdirSync(this.#root)) {
      const folder = join(this.#root, entry);
      if (entry.startsWith(REMOVING)) {
        const name = entry.slice(REMOVING.length);
        if (!existsSync(join(this.#root, name))) {
          this.#db.prepare('DELETE FROM volumes WHERE name = ?').run(name);
        }
        await rm(folder, { recursive: true, force: true });
      } else if (!this.has(entry)) {
        removeEmpty(folder);
      } else if (existsSync(join(folder, FILLING))) {
        await emptyHalfFilled(join(folder, '_data'), join(folder, FILLING));
      }
    }
  }

  #insertReference(name: string, container: string): void {
    this.#db
      .prepare('INSERT INTO volume_references VALUES (?, ?) ON CONFLICT DO NOTHING')
      .run(name, container);
  }

  #volume(row: VolumeRow): Volume {
    const labels = JSON.parse(row.labels) as Record<string, string>;
    return {
      CreatedAt: row.created_at.replace(/\.\d+Z$/, 'Z'),
      Driver: 'local',
      Labels: Object.keys(labels).length === 0 ? null : labels,
      Mountpoint: this.path(row.name),
      Name: row.name,
      Options: null,
      Scope: 'local',
    };
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
}

function openFolder(rootfs: string, path: string): number | undefined {
  try {
    return openInRoot(rootfs, path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
}

/** Folders without a row and with content are somebody's data: they stay. */
function removeEmpty(folder: string): void {
  const names = readdirSync(folder);
  if (names.some((name) => name !== '_data')) return;
  if (names.length > 0 && readdirSync(join(folder, '_data')).length > 0) return;
  rmSync(folder, { recursive: true });
}

async function emptyHalfFilled(data: string, marker: string): Promise<void> {
  const fd = openDirectory(data);
  try {
    emptyDirectory(fd);
  } finally {
    closeSync(fd);
  }
  await rm(marker, { force: true });
}
