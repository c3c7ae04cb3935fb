/**
 * The overlay driver's store on disk: `<root>/<hex diffID>/` holds `fs` (the unpacked layer), `info.json`, and `synced`
 * once everything is known to be on the disk. A layer is made under a temporary name and renamed, so that what has its
 * name is whole; only after a power cut may one without `synced` be torn, and those are dropped.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../../base/atomic-file.ts';
import { errnoCode } from '../../base/errors.ts';
import { type DiffID, digestHex, parseDiffID } from '../digest.ts';
import type { LayerInfo } from './snapshotter.ts';

const INFO_VERSION = 1;
const HEX = /^[0-9a-f]{64}$/;

/** `info.json`. */
export interface StoredLayer extends LayerInfo {
  /** Whether the layer says something about the root directory itself. */
  hasRootEntry: boolean;
  /** Whether it hides everything below: overlayfs does not look for that mark on a root. */
  hasOpaqueRoot: boolean;
}

export class LayerDirectory {
  readonly root: string;
  /** Directories without anything, below images of no or one layer. */
  readonly empties: readonly [string, string];
  readonly #bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  /** Makes the root (0700) where it is missing. */
  constructor(root: string) {
    this.root = root;
    this.empties = [join(root, 'empty', '1'), join(root, 'empty', '2')];
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (const directory of this.empties) mkdirSync(directory, { recursive: true, mode: 0o755 });
  }

  path(diffId: DiffID): string {
    return join(this.root, digestHex(diffId));
  }

  /** The unpacked layer. */
  tree(diffId: DiffID): string {
    return join(this.path(diffId), 'fs');
  }

  /** A temporary name in the root. */
  temporary(): string {
    return join(this.root, `${TEMPORARY_PREFIX}${randomBytes(12).toString('hex')}`);
  }

  /** A temporary directory with an empty `fs`. */
  begin(): string {
    const directory = this.temporary();
    mkdirSync(join(directory, 'fs'), { recursive: true, mode: 0o755 });
    return directory;
  }

  /** Gives a layer made in `directory` its name, which must be free. */
  publish(directory: string, layer: StoredLayer): void {
    const info = { version: INFO_VERSION, bootId: this.#bootId, ...layer };
    writeFileSync(join(directory, 'info.json'), `${JSON.stringify(info)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(directory, this.path(layer.diffId));
  }

  /** Takes a layer's name away at once; returns where its files are now, undefined where there was none. */
  unpublish(diffId: DiffID): string | undefined {
    const directory = this.temporary();
    try {
      renameSync(this.path(diffId), directory);
      return directory;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Notes that the layer's files are on the disk. A layer that is gone by now is no error. */
  markSynced(diffId: DiffID): void {
    try {
      writeFileSync(join(this.path(diffId), 'synced'), '');
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
    }
  }

  /** What is in the root: whole layers, those of them that are not synced yet, and leftovers to be removed. */
  read(): { layers: StoredLayer[]; unsynced: DiffID[]; leftovers: string[] } {
    const layers: StoredLayer[] = [];
    const unsynced: DiffID[] = [];
    const leftovers: string[] = [];
    for (const name of readdirSync(this.root)) {
      const path = join(this.root, name);
      if (name.startsWith(TEMPORARY_PREFIX)) leftovers.push(path);
      if (!HEX.test(name)) continue;
      const found = this.#readLayer(path, parseDiffID(`sha256:${name}`));
      if (found === undefined) leftovers.push(path);
      else {
        layers.push(found.layer);
        if (!found.synced) unsynced.push(found.layer.diffId);
      }
    }
    return { layers, unsynced, leftovers };
  }

  #readLayer(path: string, diffId: DiffID): { layer: StoredLayer; synced: boolean } | undefined {
    const info = readInfo(join(path, 'info.json'));
    if (info === undefined || info['version'] !== INFO_VERSION || info['diffId'] !== diffId) return undefined;
    const synced = statSync(join(path, 'synced'), { throwIfNoEntry: false }) !== undefined;
    if (!synced && info['bootId'] !== this.#bootId) return undefined;
    const sizeBytes = info['sizeBytes'];
    if (typeof sizeBytes !== 'number') return undefined;
    const hasRootEntry = info['hasRootEntry'] === true;
    const hasOpaqueRoot = info['hasOpaqueRoot'] === true;
    return { layer: { diffId, sizeBytes, hasRootEntry, hasOpaqueRoot }, synced };
  }
}

/** Undefined where the file is missing, torn or no object. */
function readInfo(path: string): Record<string, unknown> | undefined {
  try {
    const info: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof info === 'object' && info !== null ? (info as Record<string, unknown>) : undefined;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
