/**
 * A tree of files that COPY, ADD and `RUN --mount` take from: the build context, a named context, another stage, an image, a clone of a
 * git repository. Always a directory of this machine, whatever it came from.
 */
import type { WalkedFolders } from './walked-folders.ts';

/** Decides what of a context exists for a build, by the rules of .dockerignore. */
export interface IgnoreRules {
  /** `path` is relative to the root, without a slash in front; bytes as UTF-8. */
  excludes(path: string, directory: boolean): boolean;
  /** False where nothing below an excluded directory can be an exception (`!`), so that it need not be entered. */
  mayIncludeBelow(directory: string): boolean;
}

export interface SourceTree {
  /**
   * Absolute. Names below it are whoever's: every path is resolved below it by the kernel (openat2 with
   * RESOLVE_IN_ROOT), never by joining strings.
   */
  readonly path: string;
  /** For error texts: `build context`, or what the Dockerfile calls it. */
  readonly title: string;
  /** Undefined: everything is there. */
  readonly ignore?: IgnoreRules;
  /**
   * `uniform`: times of the files are of chance (a checkout, a download), and every copy gets the build's time; `kept`: they are
   * results of steps, the same whenever those are done, and are copied and part of cache keys.
   */
  readonly times: 'uniform' | 'kept';
  /**
   * The tree's files belong to somebody who may change them while the build reads: digests of their content are remembered by
   * what stat says (device, inode, size, mtime, ctime), and a file that changes under the reader fails the step.
   */
  readonly live: boolean;
  /** Remembers what walks through the tree have seen, for the next one. */
  readonly walked?: WalkedFolders;
  /** Of a tree that never changes: the same for all trees with the same content (the layers that it is made of). */
  readonly identity?: string;
  /** Unmounts and removes whatever was made to show it. */
  release(): Promise<void>;
}
