/**
 * Where a walk through a file tree is: the directories from its root down, each opened below the one above it. Only the
 * lowest ones are open, however deep the tree is. One that was closed is opened again as `..` of the one below, and is
 * then the same or an error: a directory that somebody moves meanwhile does not lead the walk elsewhere.
 */
import { closeSync, constants, fstatSync } from 'node:fs';
import { ConflictError } from '../base/errors.ts';
import { addon } from '../native/addon.ts';

/** openat2(2). */
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;

export const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const NO_LINKS = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
/** Beside the root. */
const OPEN_MAX = 32;

interface Level {
  readonly path: Uint8Array;
  fd: number | undefined;
  /** Of a directory that was closed. Neither changes while one below it is open. */
  identity: string;
}

/** Opens what is below a directory, on the way to which nothing may be a link. The caller closes it. */
export function openBeneath(directory: number, path: Uint8Array, flags: number, resolve = 0): number {
  return addon().openat2(directory, path, flags, 0, RESOLVE_BENEATH | NO_LINKS | resolve);
}

export class OpenDirectories {
  readonly #root: number;
  readonly #resolve: number;
  readonly #levels: Level[] = [];

  /**
   * The root is its caller's, who closes it. `resolve` is what else entering a directory heeds: with RESOLVE_NO_XDEV, one
   * where something is mounted is not entered (EXDEV).
   */
  constructor(root: number, resolve = 0) {
    this.#root = root;
    this.#resolve = resolve;
  }

  /** The lowest directory; valid until the walk goes on. */
  get fd(): number {
    return this.#levels.at(-1)?.fd ?? this.#root;
  }

  /** Goes into a directory below the lowest one. Throws with the kernel's errno. */
  enter(path: Uint8Array): void {
    this.#levels.push({ path, fd: openBeneath(this.fd, path, OPEN_DIRECTORY, this.#resolve), identity: '' });
    const above = this.#levels.at(-1 - OPEN_MAX);
    if (above?.fd === undefined) return;
    above.identity = identityOf(above.fd);
    closeSync(above.fd);
    above.fd = undefined;
  }

  /** Goes back to where a single name was entered from. Throws ConflictError where that is elsewhere by now. */
  leave(): void {
    const above = this.#levels.at(-2);
    if (above !== undefined && above.fd === undefined) {
      const fd = addon().openat2(this.fd, '..', OPEN_DIRECTORY, 0, NO_LINKS);
      if (identityOf(fd) !== above.identity) {
        closeSync(fd);
        const name = Buffer.from(this.#levels.at(-1)?.path ?? []).toString();
        throw new ConflictError(`directory ${name} was moved elsewhere while it was worked on`);
      }
      above.fd = fd;
    }
    const left = this.#levels.pop();
    if (left?.fd !== undefined) closeSync(left.fd);
  }

  /** Closes all but the root. */
  close(): void {
    for (const { fd } of this.#levels.splice(0)) if (fd !== undefined) closeSync(fd);
  }
}

function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}
