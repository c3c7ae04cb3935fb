/**
 * Which storage driver a data root gets. `--storage-driver` decides; without it a data root keeps the driver that it
 * has layers of (of both: the one that it was used with last), and a new one gets erofs where that works.
 *
 * With another driver than before, images stay: their layers are stored again at the start, from the blobs that were
 * pulled, or from the tars that the other driver kept. What that driver has on the disk stays too, so that changing
 * back is quick; removing an image removes it from both.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.ts';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { type ProbeResult, probeErofs } from './erofs/probe.ts';
import { ErofsSnapshotter } from './erofs/snapshotter.ts';
import { readMountTable } from './mount-table.ts';
import { OverlaySnapshotter } from './overlay.ts';
import type { Snapshotter } from './snapshotter.ts';

export type StorageDriver = 'erofs' | 'overlay';

export interface StorageOptions {
  dataRoot: string;
  execRoot: string;
  /** As a user gave it: `erofs`, `overlay`, `overlay2`, or empty for the best one. */
  driver: string;
}

/**
 * What `openSnapshotter` would find out about this machine, beside a daemon that uses the data root: to mount and unmount
 * takes the kernel long. Undefined where it would not ask.
 */
export function probeStorage({ dataRoot, execRoot, driver }: StorageOptions): ProbeResult | undefined {
  const root = join(dataRoot, 'layers');
  const isErofs = driver === '' ? existsSync(root) && choose(root)[0] === 'erofs' : driver === 'erofs';
  return isErofs && existsSync(root) ? (inUse(root, execRoot) ?? probeErofs(root)) : undefined;
}

/** Throws InvalidParameter for a driver that is unknown or cannot work here. `probed`: what `probeStorage` gave. */
export function openSnapshotter(
  { dataRoot, execRoot, driver }: StorageOptions,
  probed?: ProbeResult,
): Snapshotter {
  const root = join(dataRoot, 'layers');
  makeDirectory(root, 0o700);
  const wanted = parseDriver(driver);
  const [chosen, why] =
    wanted === undefined ? choose(root) : ([wanted, 'asked for by --storage-driver'] as const);
  if (chosen === 'erofs') {
    const probe = probed ?? inUse(root, execRoot) ?? probeErofs(root);
    if ('method' in probe) {
      note(root, 'erofs');
      return new ErofsSnapshotter(join(root, 'erofs'), {
        mountDirectory: join(execRoot, 'images'),
        method: probe.method,
        otherRoot: join(root, 'overlay'),
        reason: why,
      });
    }
    if (wanted !== undefined) {
      throw new InvalidParameterError(`--storage-driver "${driver}" does not work here: ${probe.refused}`);
    }
    log.warn({ reason: probe.refused }, 'layers cannot be mounted as they are, and are unpacked');
    return openOverlay(root, execRoot, `erofs does not work here: ${probe.refused}`);
  }
  return openOverlay(root, execRoot, why);
}

/** Images of this root that an earlier daemon has mounted say what a probe would. Of loop devices no source tells the root. */
function inUse(root: string, execRoot: string): ProbeResult | undefined {
  if (!existsSync(execRoot)) return undefined;
  const place = `${realpathSync(execRoot)}/`;
  const images = readMountTable().filter(
    ({ fileSystem, source, mountPoint }) =>
      fileSystem === 'erofs' && source.startsWith(`${root}/`) && mountPoint.startsWith(place),
  );
  return images.length > 0 ? { method: 'file-backed' } : undefined;
}

function openOverlay(root: string, execRoot: string, reason: string): Snapshotter {
  note(root, 'overlay');
  return new OverlaySnapshotter(join(root, 'overlay'), {
    otherRoot: join(root, 'erofs'),
    mountDirectory: join(execRoot, 'images'),
    reason,
  });
}

function parseDriver(driver: string): StorageDriver | undefined {
  if (driver === '') return undefined;
  if (driver === 'erofs') return 'erofs';
  /* Docker's name for it, which configuration files have. */
  if (driver === 'overlay' || driver === 'overlay2') return 'overlay';
  throw new InvalidParameterError(`--storage-driver "${driver}" is not available: use erofs or overlay`);
}

function choose(root: string): readonly [StorageDriver, string] {
  const last = readNote(root);
  if (last !== undefined && hasLayers(join(root, last))) return [last, 'this data root has layers of it'];
  for (const driver of ['erofs', 'overlay'] as const) {
    if (hasLayers(join(root, driver))) return [driver, 'this data root has layers of it'];
  }
  return ['erofs', 'the kernel can mount layers as they are'];
}

function hasLayers(root: string): boolean {
  try {
    return readdirSync(root).some((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The driver that was used last. */
function readNote(root: string): StorageDriver | undefined {
  try {
    const name = readFileSync(join(root, 'driver'), 'utf8').trim();
    return name === 'erofs' || name === 'overlay' ? name : undefined;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function note(root: string, driver: StorageDriver): void {
  if (readNote(root) !== driver) writeFileAtomic(join(root, 'driver'), `${driver}\n`);
}
