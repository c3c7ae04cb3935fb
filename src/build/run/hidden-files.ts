/**
 * What .dockerignore leaves out of a folder, as a layer of whiteouts to be laid over it with overlayfs: so the folder
 * itself can be shown to a step without a copy, and without what the build was not given.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  mkdirSync,
  readdirSync,
  type Stats,
} from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { InvalidParameterError } from '../../base/errors.ts';
import { addon } from '../../native/addon.ts';
import { byDescriptor, ifThere, openChild } from '../../native/inside-root.ts';
import type { IgnoreRules } from '../source/source-tree.ts';

const S_IFCHR = 0o020000;
/** The loop gets a turn at least this often. */
const TURN_MS = 15;
/** Each level of a walk holds a descriptor. As deep as what sessions send may be. */
const DEPTH_MAX = 200;
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

/**
 * Makes in `layer`, an empty directory, the whiteouts for what `rules` exclude below the open directory `fd`, which is
 * `prefix` in the tree (`''`, or `a/b/`). Returns whether there are any. Throws InvalidParameter for a tree of more than 200
 * levels.
 */
export async function hideIgnored(
  fd: number,
  prefix: string,
  rules: IgnoreRules,
  layer: string,
  signal: AbortSignal,
): Promise<boolean> {
  const walk = new HidingWalk(rules, layer, signal);
  const excluded = await walk.directory(fd, prefix, '');
  walk.hide([{ path: '', fd }], excluded);
  walk.settle();
  return walk.found;
}

interface OpenDirectory {
  /** Relative to where the walk began; a byte string, as all paths here. */
  path: string;
  fd: number;
}

class HidingWalk {
  readonly #rules: IgnoreRules;
  readonly #layer: string;
  readonly #signal: AbortSignal;
  /** From where the walk began to where it is. */
  readonly #open: OpenDirectory[] = [];
  /** Directories of the layer, and what they are like in the tree. */
  readonly #made = new Map<string, Stats>();
  #turn = performance.now();

  constructor(rules: IgnoreRules, layer: string, signal: AbortSignal) {
    this.#rules = rules;
    this.#layer = layer;
    this.#signal = signal;
  }

  get found(): boolean {
    return this.#made.size > 0;
  }

  /** Gives what is excluded right in the directory; what is deeper is hidden already. */
  async directory(fd: number, prefix: string, path: string): Promise<string[]> {
    this.#signal.throwIfAborted();
    if (performance.now() - this.#turn > TURN_MS) {
      await turn();
      this.#turn = performance.now();
    }
    if (this.#open.length > DEPTH_MAX) {
      const place = Buffer.from(path, 'latin1').toString();
      throw new InvalidParameterError(
        `a folder of a bind mount cannot be shown: ${JSON.stringify(shortened(prefix + place))} lies deeper than ${DEPTH_MAX} folders`,
      );
    }
    this.#open.push({ path, fd });
    const excluded: string[] = [];
    for (const entry of readdirSync(byDescriptor(fd), { withFileTypes: true, encoding: 'buffer' })) {
      const name = entry.name.toString('latin1');
      const own = path === '' ? name : `${path}/${name}`;
      if (await this.#isOut(fd, entry, prefix, own)) excluded.push(own);
    }
    this.#open.pop();
    return excluded;
  }

  async #isOut(fd: number, entry: Dirent<Buffer>, prefix: string, path: string): Promise<boolean> {
    const isDirectory = entry.isDirectory();
    const ruled = prefix + Buffer.from(path, 'latin1').toString();
    const excluded = this.#rules.excludes(ruled, isDirectory);
    if (!isDirectory || (excluded && !this.#rules.mayIncludeBelow(ruled))) return excluded;
    const childFd = ifThere(() => openChild(fd, entry.name, DIRECTORY));
    if (childFd === undefined) return excluded;
    try {
      const names = readdirSync(byDescriptor(childFd)).length;
      const out = await this.directory(childFd, prefix, path);
      // Nothing below it is an exception: then it is out as a whole.
      if (excluded && out.length === names) return true;
      this.hide([...this.#open, { path, fd: childFd }], out);
      return false;
    } finally {
      closeSync(childFd);
    }
  }

  /** Whiteouts for `paths`, which stand in the last of `directories`. */
  hide(directories: readonly OpenDirectory[], paths: readonly string[]): void {
    if (paths.length === 0) return;
    for (const { path, fd } of directories) {
      if (this.#made.has(path)) continue;
      this.#made.set(path, fstatSync(fd));
      if (path !== '') mkdirSync(this.#target(path));
    }
    for (const path of paths) addon().mknod(this.#target(path), S_IFCHR, 0, 0);
  }

  /** Of directories that lie on each other overlayfs shows the attributes of the topmost. */
  settle(): void {
    for (const [path, { mode, uid, gid, mtimeMs }] of [...this.#made].reverse()) {
      const target = this.#target(path);
      chownSync(target, uid, gid);
      chmodSync(target, mode & 0o7777);
      const seconds = Math.floor(mtimeMs / 1000);
      addon().setTimes(target, seconds, Math.floor((mtimeMs - seconds * 1000) * 1_000_000));
    }
  }

  #target(path: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.#layer}/`), Buffer.from(path, 'latin1')]);
  }
}

/** Its beginning: what lies that deep may have a name of any length. */
function shortened(path: string): string {
  return path.length > 120 ? `${path.slice(0, 120)}…` : path;
}
