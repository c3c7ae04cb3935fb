/**
 * The classic build cache: which image a step made on top of which parent. Only builds write it, so that an image
 * pulled from elsewhere cannot pass for a step's result by what its history claims.
 */
import type { Database } from '../base/database.ts';
import { type ImageID, parseImageID } from '../image/digest.ts';

export class BuildCache {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** The image may have been removed since. `parent`: an image ID, or the platform of a stage FROM scratch. */
  find(parent: string, step: string): ImageID | undefined {
    const row = this.#db
      .prepare('SELECT image FROM build_cache WHERE parent = ? AND step = ?')
      .get(parent, step);
    return row === undefined ? undefined : parseImageID(String(row['image']));
  }

  store(parent: string, step: string, image: ImageID): void {
    this.#db.prepare('INSERT OR REPLACE INTO build_cache VALUES (?, ?, ?)').run(parent, step, image);
  }

  forget(parent: string, step: string): void {
    this.#db.prepare('DELETE FROM build_cache WHERE parent = ? AND step = ?').run(parent, step);
  }
}
