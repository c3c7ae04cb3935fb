/** What the database keeps of volumes: names, labels, options, and which containers use which. No files here. */
import type { StatementSync } from 'node:sqlite';
import { type Database, type Migrations, transaction } from '../base/database.ts';
import { NotFoundError } from '../base/errors.ts';

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
    `ALTER TABLE volumes ADD COLUMN options TEXT NOT NULL DEFAULT '{}'`,
  ],
};

export interface VolumeRecord {
  name: string;
  labels: Record<string, string>;
  /** ISO 8601. */
  createdAt: string;
  /** Made without a name. */
  anonymous: boolean;
  /** Of the driver, as they were given. */
  options: Record<string, string>;
}

export class VolumeTable {
  readonly #db: Database;
  readonly #statements = new Map<string, StatementSync>();

  /** The database was opened with VOLUME_MIGRATIONS. */
  constructor(database: Database) {
    this.#db = database;
  }

  /** With `container`, in use by that from the same moment on. */
  insert({ name, labels, createdAt, anonymous, options }: VolumeRecord, container: string | undefined): void {
    transaction(this.#db, () => {
      this.#statement(
        'INSERT INTO volumes (name, labels, created_at, anonymous, options) VALUES (?, ?, ?, ?, ?)',
      ).run(name, JSON.stringify(labels), createdAt, anonymous ? 1 : 0, JSON.stringify(options));
      if (container !== undefined) this.addReference(name, container);
    });
  }

  /** Throws NotFound with Docker's text. */
  get(name: string): VolumeRecord {
    const row = this.#statement('SELECT * FROM volumes WHERE name = ?').get(name);
    if (row === undefined) throw new NotFoundError(`get ${name}: no such volume`);
    return readRow(row);
  }

  has(name: string): boolean {
    return this.#statement('SELECT 1 FROM volumes WHERE name = ?').get(name) !== undefined;
  }

  /** By name. */
  all(): VolumeRecord[] {
    return this.#statement('SELECT * FROM volumes ORDER BY name').all().map(readRow);
  }

  /** Its references go with it. */
  remove(name: string): void {
    this.#statement('DELETE FROM volumes WHERE name = ?').run(name);
  }

  /** Containers that use the volume. */
  references(name: string): string[] {
    return this.#statement('SELECT container FROM volume_references WHERE volume = ? ORDER BY container')
      .all(name)
      .map((row) => String(row['container']));
  }

  /** All containers that use any. */
  users(): string[] {
    return this.#statement('SELECT DISTINCT container FROM volume_references')
      .all()
      .map((row) => String(row['container']));
  }

  /** Volumes that the container uses. */
  volumesOf(container: string): string[] {
    return this.#statement('SELECT volume FROM volume_references WHERE container = ? ORDER BY volume')
      .all(container)
      .map((row) => String(row['volume']));
  }

  /** Idempotent. The volume is there. */
  addReference(name: string, container: string): void {
    this.#statement('INSERT INTO volume_references VALUES (?, ?) ON CONFLICT DO NOTHING').run(
      name,
      container,
    );
  }

  /** Idempotent. */
  releaseReferences(container: string): void {
    this.#statement('DELETE FROM volume_references WHERE container = ?').run(container);
  }

  /** Compiled once. */
  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function readRow(row: Record<string, unknown>): VolumeRecord {
  return {
    name: String(row['name']),
    labels: JSON.parse(String(row['labels'])) as Record<string, string>,
    createdAt: String(row['created_at']),
    anonymous: row['anonymous'] === 1,
    options: JSON.parse(String(row['options'])) as Record<string, string>,
  };
}
