/**
 * The ranges of IDs that containers with `--userns auto` have, a row each, from the container's creation to its removal.
 * No two overlap. Rows outlive a crash; those of containers that never came into being are removed by the next daemon.
 */
import type { Database } from '../base/database.ts';
import { ConflictError } from '../base/errors.ts';
import { freeRange, type IdRange, type UserMapping } from '../oci/user-mappings.ts';
import type { RangePool } from './subordinate-ids.ts';

export class IdRanges {
  readonly #db: Database;
  /** Ranges that something without a record is in: steps of builds. */
  readonly #inUse = new Map<string, { users: number; givenBack: boolean }>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Gives a container `size` IDs of each kind out of `pool`. Throws Conflict where no gap is large enough. */
  take(containerId: string, size: number, pool: RangePool): UserMapping {
    const rows = this.#db.prepare('SELECT uid_first, gid_first, size FROM id_ranges').all();
    const held = (column: string): IdRange[] =>
      rows.map((row) => ({ first: Number(row[column]), size: Number(row['size']) }));
    const uids = freeRange(pool.uids, [...pool.taken, ...held('uid_first')], size);
    const gids = freeRange(pool.gids, [...pool.taken, ...held('gid_first')], size);
    if (uids === undefined || gids === undefined) {
      throw new ConflictError(
        `cannot find ${size} unused ${uids === undefined ? 'user' : 'group'} IDs for --userns auto: ${rows.length} containers have ranges already; give the user mydock more in /etc/subuid and /etc/subgid, or ask for fewer with auto:size=N`,
      );
    }
    this.#db
      .prepare('INSERT INTO id_ranges (container_id, uid_first, gid_first, size) VALUES (?, ?, ?, ?)')
      .run(containerId, uids.first, gids.first, size);
    return {
      uids: [{ containerID: 0, hostID: uids.first, size }],
      gids: [{ containerID: 0, hostID: gids.first, size }],
    };
  }

  /** Keeps a container's range, should the container go meanwhile, until `release`. Calls nest. */
  hold(containerId: string): void {
    const use = this.#inUse.get(containerId) ?? { users: 0, givenBack: false };
    use.users++;
    this.#inUse.set(containerId, use);
  }

  release(containerId: string): void {
    const use = this.#inUse.get(containerId);
    if (use === undefined || --use.users > 0) return;
    this.#inUse.delete(containerId);
    if (use.givenBack) this.giveBack(containerId);
  }

  /** One that has none is no error; one that is held is given back when it is released. */
  giveBack(containerId: string): void {
    const use = this.#inUse.get(containerId);
    if (use !== undefined) {
      use.givenBack = true;
      return;
    }
    this.#db.prepare('DELETE FROM id_ranges WHERE container_id = ?').run(containerId);
  }

  /** Whose ranges are held. */
  holders(): string[] {
    return this.#db
      .prepare('SELECT container_id FROM id_ranges')
      .all()
      .map((row) => String(row['container_id']));
  }
}
