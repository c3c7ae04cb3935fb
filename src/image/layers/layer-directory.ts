/**
 * A driver's store on disk: `<root>/<hex diffID>/` holds the layer's files in the driver's form, `info.json`, and
 * `synced` once everything is known to be on the disk. A layer is made under a temporary name and renamed, so that what
 * has its name is whole; only after a power cut may one without `synced` be torn, and those are dropped.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../../base/atomic-file.ts';
import { errnoCode } from '../../base/errors.ts';
import { makeDirectory } from '../../base/make-directory.ts';
import { type DiffID, digestHex, parseDiffID } from '../digest.ts';
import type { LayerFacts } from './layer-target.ts';

const INFO_VERSION = 1;
const HEX = /^[0-9a-f]{64}$/;

/** `info.json`. */
export interface StoredLayer extends LayerFacts {
  diffId: DiffID;
}

/** Names a boot of this machine: what was written in another one may have been torn by its end. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

export class LayerDirectory {
  readonly root: string;
  readonly #bootId = bootId();

  /** Makes the root (0700) where it is missing. */
  constructor(root: string) {
    this.root = root;
    makeDirectory(root, 0o700);
  }

  path(diffId: DiffID): string {
    return join(this.root, digestHex(diffId));
  }

  /** A temporary name in the root. */
  temporary(): string {
    return join(this.root, `${TEMPORARY_PREFIX}${randomBytes(12).toString('hex')}`);
  }

  /** An empty temporary directory. */
  begin(): string {
    const directory = this.temporary();
    mkdirSync(directory, { mode: 0o755 });
    return directory;
  }

  /** Writes down what is known of the layer made in `directory`, which then is whole. */
  complete(directory: string, layer: StoredLayer): void {
    const info = { version: INFO_VERSION, bootId: this.#bootId, ...layer };
    writeFileSync(join(directory, 'info.json'), `${JSON.stringify(info)}\n`, { mode: 0o600, flag: 'wx' });
  }

  /** The same for a layer of plain files, all of which are on the disk when the call returns. */
  async completeSynced(directory: string, layer: StoredLayer): Promise<void> {
    this.complete(directory, layer);
    writeFileSync(join(directory, 'synced'), '');
    /* At the same time, so that they share the file system's journal commits. */
    const paths = [directory, ...readdirSync(directory).map((name) => join(directory, name))];
    await Promise.all(paths.map(syncPath));
  }

  /** Gives the layer made in `directory` its name, which must be free. */
  publish(directory: string, diffId: DiffID): void {
    renameSync(directory, this.path(diffId));
  }

  /** Makes the names of layers last. */
  async syncNames(): Promise<void> {
    await syncPath(this.root);
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
    const layer: StoredLayer = {
      diffId,
      sizeBytes,
      hasRootEntry: info['hasRootEntry'] === true,
      hasOpaqueRoot: info['hasOpaqueRoot'] === true,
    };
    const { tarSizeBytes, spillSizeBytes } = info;
    if (typeof tarSizeBytes === 'number') layer.tarSizeBytes = tarSizeBytes;
    if (typeof spillSizeBytes === 'number') layer.spillSizeBytes = spillSizeBytes;
    return { layer, synced };
  }
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Undefined where the file is missing, torn or no object. */
export function readInfo(path: string): Record<string, unknown> | undefined {
  try {
    const info: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof info === 'object' && info !== null ? (info as Record<string, unknown>) : undefined;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
