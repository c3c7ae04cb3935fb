/**
 * The one SQLite database of a data root (`mydock.db`, WAL). It owns opening and schema migration; what stands in a
 * table belongs to the concept that declares it (images, containers, networks, volumes), each with its own
 * `Migration` list.
 */
import { DatabaseSync } from 'node:sqlite';

/** Schema steps of one concept. Steps are append-only: step n runs once, in order, and is never edited again. */
export interface Migrations {
  readonly concept: string;
  readonly steps: readonly string[];
}

export type Database = DatabaseSync;

/**
 * Opens `path` (`:memory:` in tests) and brings every concept's schema up to date in one transaction.
 * Throws where the file was written by a newer build, naming the concept and both versions.
 */
export function openDatabase(path: string, concepts: readonly Migrations[]): Database {
  const db = new DatabaseSync(path, { timeout: 5000 });
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
  db.exec(
    'CREATE TABLE IF NOT EXISTS schema_version (concept TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT',
  );
  transaction(db, () => {
    for (const { concept, steps } of concepts) migrate(db, concept, steps);
  });
  return db;
}

/** Runs `body` in one transaction: all of it lasts or none of it. Not re-entrant. */
export function transaction<T>(db: Database, body: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = body();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

function migrate(db: Database, concept: string, steps: readonly string[]): void {
  const row = db.prepare('SELECT version FROM schema_version WHERE concept = ?').get(concept);
  const have = row === undefined ? 0 : Number(row['version']);
  if (have > steps.length) {
    throw new Error(
      `database: schema of "${concept}" is version ${have}, this build knows ${steps.length}: use the newer build`,
    );
  }
  for (const step of steps.slice(have)) db.exec(step);
  db.prepare(
    'INSERT INTO schema_version VALUES (?, ?) ON CONFLICT (concept) DO UPDATE SET version = excluded.version',
  ).run(concept, steps.length);
}
