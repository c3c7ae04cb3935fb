/**
 * The root filesystem of one step: what lies below it, mounted once with an upper directory of the step's own, and what
 * becomes of that directory at the end: nothing in it that is not the step's doing, and no time after the epoch.
 */
import { chmodSync, closeSync, constants, fstatSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { makeDirectory } from '../../base/make-directory.ts';
import type { MountOwners } from '../../image/layers/mapped-mounts.ts';
import type { Snapshotter } from '../../image/layers/snapshotter.ts';
import { addon } from '../../native/addon.ts';
import { byDescriptor, ifThere, openInsideWithoutLinks } from '../../native/inside-root.ts';
import { openDirectory } from '../../volume/copy-tree.ts';
import { removeNowOrLater } from '../../volume/retry-removal.ts';
import type { StackedLayer } from './run-step.ts';
import { useLayers } from './upper-layer.ts';

const OPAQUE_XATTR = 'trusted.overlay.opaque';
const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

export class StepRoot {
  /** The step's own; holds all that follows. */
  readonly folder: string;
  readonly path: string;
  readonly upper: string;
  readonly #snapshotter: Pick<Snapshotter, 'mount' | 'unmount'>;
  #done: (() => void) | undefined;

  /** `folder` is made. */
  constructor(folder: string, snapshotter: Pick<Snapshotter, 'mount' | 'unmount'>) {
    this.folder = folder;
    this.path = join(folder, 'root');
    this.upper = join(folder, 'upper');
    this.#snapshotter = snapshotter;
    makeDirectory(folder, 0o700);
    for (const name of ['root', 'upper', 'work']) mkdirSync(join(folder, name), { mode: 0o700 });
    // The upper directory's attributes are those of the root inside.
    chmodSync(this.upper, 0o755);
  }

  async mount(
    layers: readonly StackedLayer[],
    epochSeconds: number,
    owners: MountOwners | undefined,
  ): Promise<void> {
    addon().setTimes(this.upper, epochSeconds, 0);
    const { parts, done } = useLayers(layers);
    this.#done = done;
    const work = join(this.folder, 'work');
    await this.#snapshotter.mount({
      layers: [],
      above: parts,
      upper: this.upper,
      work,
      target: this.path,
      ...(owners === undefined ? {} : { owners }),
    });
  }

  /** What lay below it is free. Not mounted is no error. */
  async unmount(): Promise<void> {
    await this.#snapshotter.unmount(this.path);
    this.#done?.();
    this.#done = undefined;
  }

  /**
   * Of the unmounted root: takes `untouched` folders out of the upper directory where nothing is in them, and sets times.
   * Tells whether the step has changed nothing.
   */
  async settle(untouched: readonly string[], epochSeconds: number): Promise<{ empty: boolean }> {
    if (untouched.length > 0) {
      const rootFd = openDirectory(this.upper);
      try {
        for (const path of untouched) takeOut(rootFd, path);
      } finally {
        closeSync(rootFd);
      }
    }
    return { empty: (await addon().clampTimes(this.upper, epochSeconds)) === 0 };
  }

  /** Removes all of it; what cannot be removed now costs room until it can. */
  async remove(): Promise<void> {
    await removeNowOrLater(this.folder, 'what a build step left');
  }
}

/** An empty folder that hides nothing, whose parent keeps its time. */
function takeOut(rootFd: number, path: string): void {
  const fd = ifThere(() => openInsideWithoutLinks(rootFd, path, DIRECTORY));
  if (fd === undefined) return;
  try {
    if (readdirSync(byDescriptor(fd)).length > 0) return;
    if (
      addon()
        .listXattrs(`${byDescriptor(fd)}/.`)
        .some(({ name }) => name === OPAQUE_XATTR)
    )
      return;
  } finally {
    closeSync(fd);
  }
  const parentFd = openInsideWithoutLinks(rootFd, dirname(path), DIRECTORY);
  try {
    const { mtimeNs } = fstatSync(parentFd, { bigint: true });
    rmdirSync(`${byDescriptor(parentFd)}/${basename(path)}`);
    const seconds = mtimeNs / 1_000_000_000n;
    addon().setTimes(
      `${byDescriptor(parentFd)}/.`,
      Number(seconds),
      Number(mtimeNs - seconds * 1_000_000_000n),
    );
  } finally {
    closeSync(parentFd);
  }
}
