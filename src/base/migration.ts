/**
 * The schemas of the database, concept by concept, and the way from an older one to this build's: all steps in one
 * transaction, a copy of the database before it, and the judgement beforehand whether it would succeed.
 *
 * The copy is `mydock.db.before-VERSION` beside the database, VERSION that of the build that migrated. An older build
 * refuses the migrated database; with the copy in its place it goes on from there.
 */
import { copyFileSync, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { syncFile } from './atomic-file.ts';
import { errorMessage, InternalError } from './errors.ts';
import { log } from './log.ts';
import { MYDOCK_VERSION } from './version.ts';

/** Schema steps of one concept. Steps are append-only: step n runs once, in order, and is never edited again. */
export interface Migrations {
  readonly concept: string;
  readonly steps: readonly string[];
}

const COPIES_MAX = 2;
/** Times of files come from a coarser clock. */
const FILE_TIME_MS = 100;

/** Within a transaction. Throws where the database is of a newer build, and where a step fails; both by name. */
export function migrate(db: DatabaseSync, concepts: readonly Migrations[]): void {
  db.exec(
    'CREATE TABLE IF NOT EXISTS schema_version (concept TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT',
  );
  const versions = schemaVersions(db);
  requireKnown(versions, concepts);
  for (const { concept, steps } of concepts) {
    const have = versions.get(concept) ?? 0;
    for (const [index, step] of steps.entries()) if (index >= have) runStep(db, concept, index, step);
    db.prepare(
      'INSERT INTO schema_version VALUES (?, ?) ON CONFLICT (concept) DO UPDATE SET version = excluded.version',
    ).run(concept, steps.length);
  }
}

function runStep(db: DatabaseSync, concept: string, index: number, step: string): void {
  try {
    db.exec(step);
  } catch (error) {
    throw new InternalError(
      `database: the schema of "${concept}" cannot be brought from version ${index} to ${index + 1}, and nothing was changed`,
      error,
    );
  }
}

/** A copy of a database that is about to be migrated. Where the disk has no room for it the migration goes on. */
export function keepCopy(db: DatabaseSync, path: string, concepts: readonly Migrations[]): void {
  const versions = schemaVersions(db);
  if (!isBehind(versions, concepts) || versions.size === 0) return;
  requireKnown(versions, concepts);
  const copy = `${path}.before-${MYDOCK_VERSION}`;
  try {
    writeCopy(db, copy);
  } catch (error) {
    log.warn({ copy, error: errorMessage(error) }, 'the database is migrated without a copy of what it was');
    return;
  }
  log.info({ copy }, 'the database is migrated; what it was is kept as a copy');
  for (const old of copies(path).slice(COPIES_MAX)) rmSync(old, { force: true });
}

function writeCopy(db: DatabaseSync, copy: string): void {
  const temporary = `${copy}.new`;
  rmSync(temporary, { force: true });
  // The file is made with the process's umask; it holds what containers were given in secret.
  const before = process.umask(0o077);
  try {
    db.prepare('VACUUM INTO ?').run(temporary);
    syncFile(temporary);
    renameSync(temporary, copy);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    process.umask(before);
  }
}

/**
 * Throws what an opening by this build would throw, without a change; another daemon may use the database. A file that
 * does not exist is fine.
 */
export function rehearseMigration(path: string, concepts: readonly Migrations[]): void {
  if (!existsSync(path)) return;
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
  const copy = `${path}.rehearsal`;
  try {
    const versions = schemaVersions(db);
    requireKnown(versions, concepts);
    if (!isBehind(versions, concepts) || versions.size === 0) return;
    writeCopy(db, copy);
    const rehearsed = new DatabaseSync(copy);
    try {
      rehearsed.exec('BEGIN');
      migrate(rehearsed, concepts);
    } finally {
      rehearsed.close();
    }
  } finally {
    db.close();
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${copy}${suffix}`, { force: true });
  }
}

/**
 * Puts the copy back that fits this build, where a newer one has migrated the database and then did not serve. Nobody
 * may have it open. Throws where none fits that was made after `sinceMs`: earlier upgrades leave theirs, and all that was
 * made since would be lost.
 */
export function restoreBeforeMigration(path: string, concepts: readonly Migrations[], sinceMs: number): void {
  if (!existsSync(path) || fits(path, concepts)) return;
  const recent = (file: string): boolean => statSync(file).mtimeMs >= sinceMs - FILE_TIME_MS;
  const copy = copies(path).find((candidate) => recent(candidate) && fits(candidate, concepts));
  if (copy === undefined) {
    throw new InternalError(
      `database: ${path} was migrated by a newer build, and no copy of what it was is there`,
    );
  }
  const temporary = `${path}.restored`;
  copyFileSync(copy, temporary);
  syncFile(temporary);
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  renameSync(temporary, path);
  log.warn({ copy }, 'the database is as it was before a newer build has migrated it');
}

function fits(path: string, concepts: readonly Migrations[]): boolean {
  const db = new DatabaseSync(path, { timeout: 5000 });
  try {
    requireKnown(schemaVersions(db), concepts);
    return true;
  } catch {
    // Of a newer build, or no database: another one has to do.
    return false;
  } finally {
    db.close();
  }
}

/** Newest first. */
function copies(path: string): string[] {
  const prefix = `${basename(path)}.before-`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && !name.endsWith('.new'))
    .map((name) => join(dirname(path), name))
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((left, right) => right.time - left.time)
    .map(({ file }) => file);
}

/** Empty for a new database. */
function schemaVersions(db: DatabaseSync): Map<string, number> {
  const there = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get();
  if (there === undefined) return new Map();
  const rows = db.prepare('SELECT concept, version FROM schema_version').all();
  return new Map(rows.map((row) => [String(row['concept']), Number(row['version'])]));
}

function isBehind(versions: ReadonlyMap<string, number>, concepts: readonly Migrations[]): boolean {
  return concepts.some(({ concept, steps }) => (versions.get(concept) ?? 0) < steps.length);
}

function requireKnown(versions: ReadonlyMap<string, number>, concepts: readonly Migrations[]): void {
  const known = new Map(concepts.map(({ concept, steps }) => [concept, steps.length]));
  for (const [concept, have] of versions) {
    const knows = known.get(concept) ?? 0;
    if (have <= knows) continue;
    throw new InternalError(
      `database: schema of "${concept}" is version ${have}, this build knows ${knows}: use the newer build`,
    );
  }
}
