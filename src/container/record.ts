/**
 * What is kept of a container between requests and between daemons: one row, its body as JSON. Everything that is
 * asked for at create stands here resolved and complete, so that a start needs the record and the layers alone.
 */
import type { StatementSync } from 'node:sqlite';
import type { ContainerConfig, Health } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import type { EndpointSettings } from '../api/networks.ts';
import type { Database, Migrations } from '../base/database.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { DiffID, ImageID } from '../image/digest.ts';
import type { BoundPort, Endpoint, Sandbox } from '../network/model.ts';
import type { ContainerMountPoint } from '../volume/mount-points.ts';
import { networksOfMode } from './network-mode.ts';
import type { ContainerState } from './state.ts';
import type { ContainerUserNamespace } from './user-namespace.ts';

export interface ContainerRecord {
  id: string;
  /** Without the leading slash. */
  name: string;
  createdAt: string;
  imageId: ImageID;
  /** As the user wrote it. */
  image: string;
  /** Base first. */
  layers: DiffID[];
  /** The request merged with the image's configuration. */
  config: ContainerConfig;
  hostConfig: HostConfig;
  /**
   * The networks that it is on whenever it runs, by name, in the order of being connected, with what was asked for.
   * `NetworkID` is there once it was on the network: from then on that network is meant, whatever its name is given to.
   */
  networks: Record<string, EndpointSettings>;
  /** Containers of the default bridge that it finds in its hosts file and environment (`--link`). */
  links: ContainerLink[];
  mounts: ContainerMountPoint[];
  /** Absent: the host's. What the daemon is told later does not change it. */
  userNamespace?: ContainerUserNamespace;
  state: ContainerState;
  /** Only with a health check that was run. Stored when its status changes. */
  health?: Health;
  /** AppArmor profile that its latest run began with; absent: none. */
  apparmorProfile?: string;
  restartCount: number;
  /** A user stopped it: `unless-stopped` leaves it so when the daemon starts. */
  stoppedByUser: boolean;
  /** A stop waits for its run to end: the next daemon goes on with that. */
  ending?: Ending;
  /** A commit has paused it, or is about to: it runs on after that, also under the next daemon. */
  pausedForCommit?: boolean;
  /** Its removal, once it has begun, is with its anonymous volumes. */
  removesVolumes?: boolean;
  /** Its network namespace while it runs, where that is its own. */
  sandbox: Sandbox | null;
  /** SHA-256 of the resolv.conf that its run began with: what somebody has changed since is left alone. */
  resolvConfHash?: string;
}

export interface Ending {
  /** When its stop signal was sent. */
  signalledAt: string;
  /** Seconds after that before SIGKILL; negative: never. */
  timeoutSec: number;
  /** It is started again when it has ended. */
  restarts: boolean;
}

export interface ContainerLink {
  alias: string;
  containerId: string;
}

export const CONTAINER_MIGRATIONS: Migrations = {
  concept: 'containers',
  steps: [
    `CREATE TABLE containers (
       id TEXT PRIMARY KEY,
       name TEXT NOT NULL UNIQUE,
       created_at TEXT NOT NULL,
       record TEXT NOT NULL
     ) STRICT`,
    `CREATE TABLE id_ranges (
       container_id TEXT PRIMARY KEY,
       uid_first INTEGER NOT NULL,
       gid_first INTEGER NOT NULL,
       size INTEGER NOT NULL
     ) STRICT`,
  ],
};

/** The table of containers. Every call is one transaction. */
export class RecordTable {
  readonly #db: Database;
  readonly #save: StatementSync;
  readonly #remove: StatementSync;

  constructor(db: Database) {
    this.#db = db;
    this.#save = db.prepare(
      `INSERT INTO containers (id, name, created_at, record) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record`,
    );
    this.#remove = db.prepare('DELETE FROM containers WHERE id = ?');
  }

  /**
   * All records, oldest first, and the names of those that cannot be read by their ID: these are logged and left as
   * they are, because no container may keep the others from being served.
   */
  load(): { records: ContainerRecord[]; unreadable: Map<string, string> } {
    const records: ContainerRecord[] = [];
    const unreadable = new Map<string, string>();
    const query = this.#db.prepare('SELECT id, name, record FROM containers ORDER BY created_at, rowid');
    for (const row of query.iterate()) {
      const [id, name] = [String(row['id']), String(row['name'])];
      try {
        records.push(readRecord(id, String(row['record'])));
      } catch (error) {
        log.error({ container: id, name, error: errorMessage(error) }, 'the record of a container is broken');
        unreadable.set(id, name);
      }
    }
    return { records, unreadable };
  }

  save(record: ContainerRecord): void {
    this.#save.run(record.id, record.name, record.createdAt, JSON.stringify(record));
  }

  remove(id: string): void {
    this.#remove.run(id);
  }
}

/** Throws where the text is no record of that container. */
function readRecord(id: string, text: string): ContainerRecord {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('it is no object');
  const fields = value as Record<string, unknown>;
  if (fields['id'] !== id) throw new Error('it is of another container');
  for (const name of ['config', 'hostConfig', 'layers', 'mounts', 'state']) {
    if (typeof fields[name] !== 'object' || fields[name] === null) throw new Error(`it has no ${name}`);
  }
  return upgradeNetworks(value as ContainerRecord & BridgeOnly);
}

/** What stood in records when the default bridge was the only network. */
interface BridgeOnly {
  networkingConfig?: unknown;
  endpoint?: (Endpoint & { ports: BoundPort[]; netnsPath: string }) | null;
}

function upgradeNetworks(stored: ContainerRecord & BridgeOnly): ContainerRecord {
  const { networkingConfig: _, endpoint, ...record } = stored;
  record.networks ??= networksOfMode(record.hostConfig);
  record.links ??= [];
  record.restartCount ??= 0;
  record.stoppedByUser ??= false;
  record.sandbox ??= endpoint ? sandboxOf(endpoint) : null;
  return record;
}

function sandboxOf(old: Endpoint & { ports: BoundPort[]; netnsPath: string }): Sandbox {
  const { ports, netnsPath, ...endpoint } = old;
  return {
    netnsPath,
    ports,
    dns: false,
    endpoints: [{ ...endpoint, dnsNames: [], containerInterface: 'eth0' }],
  };
}
