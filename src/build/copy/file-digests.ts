/**
 * What the content of files was when it was last read, so that a build need not read it again: a table of directories,
 * each with its files' states (size, times of modification and change, device, inode) and SHA-256 digests. A file whose
 * state is the same has the same content, unless it was written within the clock's granularity of being read: such
 * files are not remembered. A cache that may be lost, in a database of its own.
 */

import { rmSync, statfsSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { log } from '../../base/log.ts';
import { DIGEST_BYTES } from '../../image/layers/tree-digests.ts';
import { STATE_COUNT, STATE_FROM, TREE_FIELDS } from '../../native/tree.ts';

const STATE_BYTES = STATE_COUNT * 8;
const RECORD_BYTES = STATE_BYTES + DIGEST_BYTES;
const CHANGE_SECONDS = TREE_FIELDS.changeSeconds - STATE_FROM;
const CHANGE_NANOSECONDS = TREE_FIELDS.changeNanoseconds - STATE_FROM;
const INODE_HIGH = TREE_FIELDS.inodeHigh - STATE_FROM;
const INODE_LOW = TREE_FIELDS.inodeLow - STATE_FROM;
/** File systems here count time in ticks of the kernel at the coarsest; of others it is not known. */
const LOCAL_GRANULARITY_MS = 50;
const OTHER_GRANULARITY_MS = 3000;
/** ext4, xfs, btrfs, tmpfs, overlayfs, erofs, f2fs (statfs(2)). */
const LOCAL_TYPES = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xe0f5e1e2, 0xf2f52010]);
const DEFAULT_MAX_BYTES = 128 * 1024 * 1024;
/** Part of a limit by which it may be exceeded before what is too much goes: looking costs a pass over the table. */
const SLACK = 8;
/** A use is written down when the last one is longer ago. */
const USE_INTERVAL_MS = 12 * 3600 * 1000;
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS directories (
    device INTEGER NOT NULL, inode TEXT NOT NULL, used_at INTEGER NOT NULL, files BLOB NOT NULL,
    PRIMARY KEY (device, inode)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS directories_by_use ON directories (used_at);
  CREATE TABLE IF NOT EXISTS keys (
    selection TEXT PRIMARY KEY, used_at INTEGER NOT NULL, key TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;
const SCHEMA_VERSION = 1;
const KEYS_MAX = 20_000;

/** A directory as its parent lists it. */
export interface DirectoryIdentity {
  device: number;
  /** Decimal, of both halves. */
  inode: string;
}

export interface DigestedFile {
  state: Float64Array;
  digest: Uint8Array;
}

/** The files of one directory that are remembered. */
export class KnownFiles {
  readonly #files: Uint8Array;
  readonly #view: DataView;
  /** Where the next file will be: the same directory is mostly asked for in the same order. */
  #next = 0;
  #byInode: Map<number, number> | undefined;

  constructor(files: Uint8Array) {
    this.#files = files;
    this.#view = new DataView(files.buffer, files.byteOffset, files.byteLength);
  }

  /** Undefined where the file is not known, or not as it was. */
  digest(state: Float64Array): Uint8Array | undefined {
    const bytes = Buffer.from(state.buffer, state.byteOffset, STATE_BYTES);
    if (this.#isAt(this.#next, bytes)) return this.#digestAt(this.#next);
    this.#byInode ??= this.#index();
    const at = this.#byInode.get((state[INODE_HIGH] ?? 0) * 2 ** 32 + (state[INODE_LOW] ?? 0));
    return at === undefined || !this.#isAt(at, bytes) ? undefined : this.#digestAt(at);
  }

  #isAt(at: number, state: Buffer): boolean {
    return at + RECORD_BYTES <= this.#files.length && state.compare(this.#files, at, at + STATE_BYTES) === 0;
  }

  #digestAt(at: number): Uint8Array {
    this.#next = at + RECORD_BYTES;
    return this.#files.subarray(at + STATE_BYTES, at + RECORD_BYTES);
  }

  #index(): Map<number, number> {
    const byInode = new Map<number, number>();
    for (let at = 0; at + RECORD_BYTES <= this.#files.length; at += RECORD_BYTES) {
      const low = this.#view.getFloat64(at + INODE_LOW * 8, true);
      byInode.set(this.#view.getFloat64(at + INODE_HIGH * 8, true) * 2 ** 32 + low, at);
    }
    return byInode;
  }
}

export class FileDigests {
  readonly #db: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #maxBytes: number;
  readonly #maxKeys: number;
  /** Since the last trim. */
  #addedBytes = 0;
  #addedKeys = 0;

  /** `path`: a file below the data root, or `:memory:`. One that is damaged is begun anew. */
  constructor(path: string, options: { maxBytes?: number; maxKeys?: number } = {}) {
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxKeys = options.maxKeys ?? KEYS_MAX;
    this.#db = open(path);
    this.#find = this.#db.prepare('SELECT files, used_at FROM directories WHERE device = ? AND inode = ?');
    this.#insert = this.#db.prepare('INSERT OR REPLACE INTO directories VALUES (?, ?, ?, ?)');
    this.#trim();
  }

  known({ device, inode }: DirectoryIdentity): KnownFiles | undefined {
    const row = this.#find.get(device, inode);
    if (row === undefined || !(row.files instanceof Uint8Array)) return undefined;
    if (Number(row.used_at) < Date.now() - USE_INTERVAL_MS) {
      this.#used(device, inode);
    }
    return new KnownFiles(row.files);
  }

  #used(device: number, inode: string): void {
    try {
      this.#db
        .prepare('UPDATE directories SET used_at = ? WHERE device = ? AND inode = ?')
        .run(Date.now(), device, inode);
    } catch (error) {
      log.warn({ err: error }, 'the use of digests of build contexts could not be written down');
    }
  }

  /** Replaces what is known of directories. */
  remember(directories: readonly { identity: DirectoryIdentity; files: readonly DigestedFile[] }[]): void {
    this.#db.exec('BEGIN');
    try {
      for (const { identity, files } of directories) {
        const bytes = encode(files);
        this.#insert.run(identity.device, identity.inode, Date.now(), bytes);
        this.#addedBytes += bytes.length;
      }
      this.#db.exec('COMMIT');
      if (this.#addedBytes > this.#maxBytes / SLACK) this.#trim();
    } catch (error) {
      // Where the disk is full, SQLite has ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      log.warn({ err: error }, 'digests of build contexts could not be kept');
    }
  }

  /** What a selection in a tree that never changes came to. */
  key(selection: string): string | undefined {
    const row = this.#db.prepare('SELECT key FROM keys WHERE selection = ?').get(selection);
    return typeof row?.key === 'string' ? row.key : undefined;
  }

  rememberKey(selection: string, key: string): void {
    try {
      this.#db.prepare('INSERT OR REPLACE INTO keys VALUES (?, ?, ?)').run(selection, Date.now(), key);
      if (++this.#addedKeys > this.#maxKeys / SLACK) this.#trim();
    } catch (error) {
      log.warn({ err: error }, 'the digest of a selection could not be kept');
    }
  }

  close(): void {
    this.#trim();
    this.#db.close();
  }

  /** Drops what was not used for the longest time, beyond the limits. */
  #trim(): void {
    this.#addedBytes = 0;
    this.#addedKeys = 0;
    const total = Number(
      this.#db.prepare('SELECT total(length(files)) AS bytes FROM directories').get()?.bytes,
    );
    let excess = total - this.#maxBytes;
    const oldest = this.#db.prepare(
      'SELECT device, inode, length(files) AS bytes FROM directories ORDER BY used_at LIMIT 1000',
    );
    const remove = this.#db.prepare('DELETE FROM directories WHERE device = ? AND inode = ?');
    while (excess > 0) {
      for (const row of oldest.all()) {
        if (excess <= 0) break;
        remove.run(Number(row.device), String(row.inode));
        excess -= Number(row.bytes);
      }
    }
    this.#db
      .prepare(
        'DELETE FROM keys WHERE used_at <= (SELECT used_at FROM keys ORDER BY used_at DESC LIMIT 1 OFFSET ?)',
      )
      .run(this.#maxKeys);
  }
}

function open(path: string): DatabaseSync {
  try {
    return openFile(path);
  } catch (error) {
    if (path === ':memory:') throw error;
    log.warn({ err: error, path }, 'digests of build contexts are begun anew');
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
    return openFile(path);
  }
}

function openFile(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 0');
    const version = Number(db.prepare('PRAGMA user_version').get()?.user_version);
    if (version !== SCHEMA_VERSION) db.exec('DROP TABLE IF EXISTS directories; DROP TABLE IF EXISTS keys');
    db.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function encode(files: readonly DigestedFile[]): Buffer {
  const bytes = Buffer.alloc(files.length * RECORD_BYTES);
  for (const [index, { state, digest }] of files.entries()) {
    Buffer.from(state.buffer, state.byteOffset, STATE_BYTES).copy(bytes, index * RECORD_BYTES);
    bytes.set(digest, index * RECORD_BYTES + STATE_BYTES);
  }
  return bytes;
}

/**
 * Up to which time of change, in milliseconds since 1970, what was listed at `listedMs` can be told from what comes
 * later: a file that changed after that may change again and look the same.
 */
export function trustedUntil(directory: string, listedMs: number): number {
  const isLocal = LOCAL_TYPES.has(statfsSync(directory).type);
  return listedMs - (isLocal ? LOCAL_GRANULARITY_MS : OTHER_GRANULARITY_MS);
}

/** Whether a state can be remembered. */
export function isSettled(state: Float64Array, untilMs: number): boolean {
  const changedMs = (state[CHANGE_SECONDS] ?? 0) * 1000 + (state[CHANGE_NANOSECONDS] ?? 0) / 1e6;
  return changedMs < untilMs;
}
