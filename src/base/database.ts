/**
 * The one SQLite database of a data root (`mydock.db`, WAL). It owns opening; what stands in a table belongs to the
 * concept that declares it (images, containers, networks, volumes), each with its own `Migrations` (migration.ts).
 *
 * Records hold what containers were given in secret (environment variables): only root reads the files.
 *
 * A full disk must not keep its user from removing what fills it, which takes a few writes. So the database keeps
 * space in hand: its log has `RESERVE_BYTES` on disk, which it uses again and again (a checkpoint comes well before
 * its end), and as many free pages stand in the database itself.
 */
import { chmodSync, closeSync, openSync, statfsSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { errorMessage } from './errors.ts';
import { log } from './log.ts';
import { keepCopy, type Migrations, migrate } from './migration.ts';

export type { Migrations } from './migration.ts';

export type Database = DatabaseSync;

const IN_MEMORY = ':memory:';
const RESERVE_BYTES = 1 << 20;
/** Pages of 4 KiB in the log at which it is checkpointed: a part of the reserve. */
const CHECKPOINT_PAGES = 100;

/**
 * Opens `path` (`:memory:` in tests) and brings every concept's schema up to date in one transaction.
 * Throws where the file was written by a newer build, naming the concept and both versions, and where a step fails,
 * naming its concept: the database is as it was then. What is to be migrated is copied first (`keepCopy`).
 */
export function openDatabase(path: string, concepts: readonly Migrations[]): Database {
  if (path !== IN_MEMORY) makePrivate(path);
  const db = new DatabaseSync(path, { timeout: 5000 });
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
  try {
    if (path !== IN_MEMORY) keepCopy(db, path, concepts);
    transaction(db, () => migrate(db, concepts));
  } catch (error) {
    db.close();
    throw error;
  }
  if (path !== IN_MEMORY) reserveSpace(db, path);
  return db;
}

/** SQLite gives its other files the mode of the database; those that an earlier build made are changed. */
function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    if (statSync(file, { throwIfNoEntry: false }) !== undefined) chmodSync(file, 0o600);
  }
}

/** A disk that is full already is left alone: an attempt would use up what an earlier opening has reserved. */
function reserveSpace(db: Database, path: string): void {
  db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  const pragma = (name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
  const freeBytes = pragma('freelist_count') * pragma('page_size');
  const logBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (freeBytes >= RESERVE_BYTES && logBytes >= RESERVE_BYTES) return;
  const { bavail, bsize } = statfsSync(path);
  if (bavail * bsize < 4 * RESERVE_BYTES) return;
  try {
    transaction(db, () => {
      db.exec('DROP TABLE IF EXISTS reserve; CREATE TABLE reserve (space BLOB) STRICT;');
      db.prepare('INSERT INTO reserve VALUES (zeroblob(?))').run(RESERVE_BYTES);
    });
    // The pages reach the database's own file before they are given up: a free page is not written.
    db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    db.exec('DROP TABLE reserve');
    db.exec('PRAGMA wal_checkpoint(RESTART)');
  } catch (error) {
    log.warn({ path, error: errorMessage(error) }, 'no space can be kept for writes to a full disk');
  }
}

/**
 * To be called before the process ends: brings everything into the database's own file. It stays open, because SQLite
 * removes its log, and the space that it holds, when the last connection closes.
 */
export function settleDatabase(db: Database): void {
  db.exec('PRAGMA wal_checkpoint(RESTART)');
}

/** A second connection, which keeps the log on disk when the first one is closed. */
export function holdDatabase(path: string): Database {
  const db = new DatabaseSync(path, { timeout: 5000 });
  db.prepare('SELECT count(*) FROM schema_version').get();
  return db;
}

/** Runs `body` in one transaction: all of it lasts or none of it. Inside another one it is a part of that. */
export function transaction<T>(db: Database, body: () => T): T {
  if (db.isTransaction) return body();
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite has rolled back by itself where the disk is full.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
