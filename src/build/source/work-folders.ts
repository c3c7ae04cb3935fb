/**
 * Folders of builds under way, below `<data root>/build/trees`: made when a source is opened, gone when it is released.
 * What a daemon that was killed left there, mounts and files, the next one removes.
 */

import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { step, stepSync } from '../../base/steps.ts';
import { readMountTable } from '../../image/layers/mount-table.ts';
import { addon } from '../../native/addon.ts';
import { removeNowOrLater } from '../../volume/retry-removal.ts';
import type { SourceTree } from './source-tree.ts';

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

export interface WorkFolder {
  readonly path: string;
  /** Removes it with all that is in it. Mounts below it are the caller's to undo before. */
  release(): Promise<void>;
}

export class WorkFolders {
  readonly #root: string;

  /** `directory`: `<data root>/build`, made where it is missing. */
  constructor(directory: string) {
    this.#root = join(resolve(directory), 'trees');
    makeDirectory(this.#root, 0o700);
    chmodSync(resolve(directory), 0o700);
  }

  /** Where they lie. */
  get directory(): string {
    return this.#root;
  }

  /** An empty folder, mode 0755: only root reaches it. */
  create(): WorkFolder {
    const path = join(this.#root, randomBytes(8).toString('hex'));
    stepSync('build/make-folder', path, () => mkdirSync(path));
    // The umask may have taken bits away, and the root of a tree is seen by builds.
    chmodSync(path, 0o755);
    return { path, release: () => this.remove(path) };
  }

  /** A tree of one file. */
  fileTree(name: string, content: Uint8Array, title: string): SourceTree {
    const { path, release } = this.create();
    try {
      writeFileSync(join(path, name), content, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      void release();
      throw error;
    }
    return { path, title, times: 'uniform', live: false, release };
  }

  /** Removes a tree; what cannot be removed now costs room until it can. */
  async remove(path: string): Promise<void> {
    await step('build/remove-folder', path, () => removeNowOrLater(path, 'what a build left'));
  }

  async sweep(): Promise<void> {
    const below = `${this.#root}/`;
    for (const { mountPoint } of readMountTable().toReversed()) {
      if (!mountPoint.startsWith(below)) continue;
      try {
        addon().unmount(mountPoint, MNT_DETACH | UMOUNT_NOFOLLOW);
      } catch (error) {
        // Its files stay, then: what is mounted there must not be removed with them.
        log.warn(`cannot unmount ${mountPoint}, which a build left: ${errorMessage(error)}`);
        return;
      }
    }
    if (!existsSync(this.#root)) return;
    await Promise.all(readdirSync(this.#root).map((name) => this.remove(join(this.#root, name))));
  }
}
