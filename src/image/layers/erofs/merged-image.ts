/**
 * One merged image on disk: `image.erofs`, the names and attributes of a whole image, pointing into its layers' tars,
 * and `info.json` beside it. A cache: made anew wherever it is not as it should be, so nothing here is ever synced.
 * Merging blocks, and is for worker threads.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { errnoCode, InternalError } from '../../../base/errors.ts';
import { type DiffID, digestHex, parseDiffID } from '../../digest.ts';
import { bootId, readInfo } from '../layer-directory.ts';
import { isIntact as indexIsIntact } from './index-check.ts';
import { mergeIndexes } from './merge.ts';

const IMAGE_NAME = 'image.erofs';
const INFO_NAME = 'info.json';
/** To be raised with every change of what mergeIndexes makes: images of other versions are not looked at. */
const VERSION = 1;
const CHUNK_BYTES = 1024 * 1024;

export interface MergedInfo {
  /** Base first. */
  layers: DiffID[];
  sizeBytes: number;
  checksum: number;
  /** In which it was written, or found to be right. */
  bootId: string;
}

/** Names the image of a list of layers, base first: 64 hex digits. */
export function imageKey(layers: readonly DiffID[]): string {
  const hash = createHash('sha256').update(`${VERSION}\n`);
  for (const diffId of layers) hash.update(`${digestHex(diffId)}\n`);
  return hash.digest('hex');
}

export function imagePath(directory: string): string {
  return join(directory, IMAGE_NAME);
}

/** Merges the layers' indexes into an image in an empty directory. */
export function mergeImage(layers: readonly { diffId: string; index: string }[], directory: string): void {
  const { index } = mergeIndexes(
    layers.map((layer) => readFileSync(layer.index)),
    layers.map(({ diffId }) => `index of layer ${diffId}`),
  );
  writeFileSync(imagePath(directory), index, { flag: 'wx', mode: 0o600 });
  writeInfo(directory, {
    layers: layers.map(({ diffId }) => parseDiffID(diffId)),
    sizeBytes: index.length,
    checksum: crc32(index),
    bootId: bootId(),
  });
}

/** Throws InternalError where a layer's index has other bytes than were written. */
export function checkIndex(path: string, name: string): void {
  if (!indexIsIntact(readFileSync(path))) throw new InternalError(`${name} is damaged`);
}

function writeInfo(directory: string, info: MergedInfo): void {
  writeFileSync(join(directory, INFO_NAME), `${JSON.stringify({ version: VERSION, ...info })}\n`, {
    mode: 0o600,
  });
}

/** What a directory has; undefined where that is no image of this version, or one of the wrong length. */
export function readMerged(directory: string): MergedInfo | undefined {
  const info = readInfo(join(directory, INFO_NAME));
  if (info === undefined || info['version'] !== VERSION) return undefined;
  const { layers, sizeBytes, checksum, bootId: boot } = info;
  if (!Array.isArray(layers) || typeof sizeBytes !== 'number' || typeof checksum !== 'number')
    return undefined;
  if (statSync(imagePath(directory), { throwIfNoEntry: false })?.size !== sizeBytes) return undefined;
  try {
    return {
      layers: layers.map((layer) => parseDiffID(String(layer))),
      sizeBytes,
      checksum,
      bootId: String(boot),
    };
  } catch {
    // Names no layers: not written here.
    return undefined;
  }
}

/**
 * Whether the image has the bytes that it was written with. What this boot has written needs no look; what an earlier
 * one left was never synced, and is read once.
 */
export async function isIntact(directory: string, info: MergedInfo): Promise<boolean> {
  const boot = bootId();
  if (info.bootId === boot) return true;
  try {
    if ((await checksumOf(imagePath(directory))) !== info.checksum) return false;
    writeInfo(directory, { ...info, bootId: boot });
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'EIO') return false;
    throw error;
  }
}

async function checksumOf(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    let checksum = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return checksum;
      checksum = crc32(buffer.subarray(0, bytesRead), checksum);
    }
  } finally {
    await file.close();
  }
}
