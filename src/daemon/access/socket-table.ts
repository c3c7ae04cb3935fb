/** Scoped sockets as they are stored: one row each, its body as JSON. */
import type { Database, Migrations } from '../../base/database.ts';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { SocketOwner } from '../socket-file.ts';
import type { ScopeSettings } from './scope.ts';

export interface SocketRecord {
  settings: ScopeSettings;
  /** With links in its folder resolved. */
  path: string;
  owner: SocketOwner;
  /** RFC 3339. */
  created: string;
}

export const SOCKET_MIGRATIONS: Migrations = {
  concept: 'sockets',
  steps: [
    `CREATE TABLE sockets (
       name TEXT PRIMARY KEY,
       path TEXT NOT NULL UNIQUE,
       record TEXT NOT NULL
     ) STRICT`,
  ],
};

export class SocketTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** A record that cannot be read is logged and left: the others are served. */
  load(): SocketRecord[] {
    return this.#db
      .prepare('SELECT name, record FROM sockets ORDER BY name')
      .all()
      .flatMap((row) => {
        try {
          return [JSON.parse(String(row['record'])) as SocketRecord];
        } catch (error) {
          log.error({ socket: row['name'], error: errorMessage(error) }, 'the record of a socket is broken');
          return [];
        }
      });
  }

  insert(record: SocketRecord): void {
    this.#db
      .prepare('INSERT INTO sockets (name, path, record) VALUES (?, ?, ?)')
      .run(record.settings.name, record.path, JSON.stringify(record));
  }

  remove(name: string): void {
    this.#db.prepare('DELETE FROM sockets WHERE name = ?').run(name);
  }
}
