/**
 * Network namespaces bound to files of one folder, and a few made ahead: the kernel needs a millisecond and more for
 * one, which then is off the way of a starting container. Those that one daemon has made ahead are there for the next:
 * to unbind one takes the kernel ten milliseconds and more.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCode, errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { addon } from '../native/addon.ts';

const MNT_DETACH = 2;
const NSFS_MAGIC = 0x6e736673;
const PING_GROUPS = '/proc/sys/net/ipv4/ping_group_range';

/** Of those that are made ahead: what no container was given and has this name is as it was made. */
const AHEAD_PREFIX = 'ahead-';

/** Refilling waits this long, so that it does not compete with the start of the container that emptied the pool. */
const REFILL_DELAY_MS = 30;

export class NetnsPool {
  readonly #directory: string;
  readonly #size: number;
  readonly #ready: string[] = [];
  #filling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** `size` 0: none is made ahead. The folder is made. */
  constructor(directory: string, size: number) {
    this.#directory = directory;
    this.#size = size;
    makeDirectory(directory, 0o755);
  }

  /**
   * A namespace with only its loopback, up. The caller owns it. It belongs to the user namespace at a path, where one is
   * given: those are never made ahead.
   */
  async take(userNamespace?: string): Promise<string> {
    if (userNamespace !== undefined) return await this.#createOwned(userNamespace);
    for (let path = this.#ready.shift(); path !== undefined; path = this.#ready.shift()) {
      if (isNamespace(path)) return path;
      removeNetns(path);
    }
    return await this.#create(AHEAD_PREFIX);
  }

  /** Makes namespaces ahead until the pool is full, a little later and in the background. */
  refill(): void {
    if (this.#closed || this.#timer !== undefined || this.#ready.length >= this.#size) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#filling ??= this.#fill().finally(() => {
        this.#filling = undefined;
      });
    }, REFILL_DELAY_MS).unref();
  }

  /**
   * Takes over what an earlier pool has made ahead, and removes every other namespace file in the folder that is not in
   * `keep` and not of this pool.
   */
  sweep(keep: ReadonlySet<string>): void {
    for (const name of readdirSync(this.#directory)) {
      const path = join(this.#directory, name);
      if (keep.has(path) || this.#ready.includes(path)) continue;
      const isAhead = name.startsWith(AHEAD_PREFIX) && this.#ready.length < this.#size && isNamespace(path);
      if (isAhead) this.#ready.push(path);
      else removeNetns(path);
    }
  }

  /** Removes what was made ahead, unless it is to be there for a successor. */
  async close(keep = false): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#filling;
    const ready = this.#ready.splice(0);
    if (!keep) for (const path of ready) removeNetns(path);
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#closed && this.#ready.length < this.#size)
        this.#ready.push(await this.#create(AHEAD_PREFIX));
    } catch (error) {
      // The next start makes its own and reports what is wrong.
      log.debug({ reason: errorMessage(error) }, 'network namespaces cannot be made ahead');
    }
  }

  async #create(prefix: string, userNamespace?: string): Promise<string> {
    const path = join(this.#directory, `${prefix}${randomBytes(6).toString('hex')}`);
    await addon().createNetns(path, userNamespace);
    return path;
  }

  /** Echo sockets for all groups: inside, the kernel would take a range of groups that exist there only. */
  async #createOwned(userNamespace: string): Promise<string> {
    const path = await this.#create('', userNamespace);
    try {
      if (existsSync(PING_GROUPS)) addon().writeSysctls(path, [PING_GROUPS], ['0 2147483647']);
      return path;
    } catch (error) {
      removeNetns(path);
      throw error;
    }
  }
}

/** False where somebody has unmounted or removed it behind the pool's back. */
function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Unbinds a namespace and removes its file; it ends with its last process. One that is gone is no error. */
export function removeNetns(path: string): void {
  try {
    addon().unmount(path, MNT_DETACH);
  } catch (error) {
    // EINVAL: the file is no mount (any more).
    if (errnoCode(error) !== 'EINVAL' && errnoCode(error) !== 'ENOENT') throw error;
  }
  rmSync(path, { force: true });
}
