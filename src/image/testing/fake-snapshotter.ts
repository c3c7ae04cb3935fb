/**
 * A Snapshotter for tests that need no file systems: it inflates and hashes what it is given, as the real drivers do,
 * and remembers sizes. Mounting and committing are not its job and fail by name.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate as tick } from 'node:timers/promises';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { InvalidParameterError, NotImplementedError } from '../../base/errors.ts';
import { type DiffID, digestOf, parseDiffID } from '../digest.ts';
import type {
  BlobOptions,
  CommittedLayer,
  DriverStatus,
  LayerInfo,
  LayerSource,
  Snapshotter,
} from '../layers/snapshotter.ts';

export class FakeSnapshotter implements Snapshotter {
  readonly driver = 'fake';
  /** Drivers of either kind are played. */
  keepsTars = true;
  readonly stored = new Map<DiffID, Buffer>();
  /** How often `add` did its work. */
  adds = 0;
  /** Awaited at the start of each `add`, for tests that need it to take long. */
  gate: (source: LayerSource) => Promise<void> = async () => {};

  layer(diffId: DiffID): LayerInfo | undefined {
    const tar = this.stored.get(diffId);
    return tar === undefined ? undefined : { diffId, sizeBytes: tar.length };
  }

  async add(source: LayerSource, signal?: AbortSignal): Promise<LayerInfo> {
    await this.gate(source);
    signal?.throwIfAborted();
    this.adds += 1;
    await source.growing?.settled(signal);
    source.growing?.lost.throwIfAborted();
    const blob = readFileSync(source.blobPath);
    const tar = inflate(blob, source.compression);
    await tick();
    signal?.throwIfAborted();
    source.onProgress?.(blob.length);
    const actual = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    if (actual !== source.diffId) {
      throw new InvalidParameterError(`layer has diffID ${actual}, the image says ${source.diffId}`);
    }
    this.stored.set(source.diffId, tar);
    return { diffId: source.diffId, sizeBytes: tar.length };
  }

  async addTar(
    source: string | AsyncIterable<Uint8Array>,
    options?: BlobOptions,
    signal?: AbortSignal,
  ): Promise<CommittedLayer> {
    const chunks: Uint8Array[] = [];
    if (typeof source === 'string') chunks.push(readFileSync(source));
    else for await (const chunk of source) chunks.push(chunk);
    signal?.throwIfAborted();
    const tar = inflate(Buffer.concat(chunks), 'detect');
    const diffId = parseDiffID(digestOf(tar));
    this.stored.set(diffId, tar);
    options?.onStored?.(diffId);
    return { diffId, sizeBytes: tar.length };
  }

  create(): Promise<CommittedLayer> {
    return Promise.reject(new NotImplementedError('create'));
  }

  commit(): Promise<CommittedLayer> {
    return Promise.reject(new NotImplementedError('commit'));
  }

  exportTar(diffId: DiffID): Readable {
    return Readable.from([this.stored.get(diffId) ?? Buffer.alloc(0)]);
  }

  async remove(diffId: DiffID): Promise<void> {
    await tick();
    this.stored.delete(diffId);
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  status(): DriverStatus {
    return [];
  }

  mount(): Promise<void> {
    return Promise.reject(new NotImplementedError('mount'));
  }

  unmount(): Promise<void> {
    return Promise.resolve();
  }

  sweep(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  layers(): DiffID[] {
    return [...this.stored.keys()];
  }
}

function inflate(blob: Buffer, compression: LayerSource['compression']): Buffer {
  const gzip = compression === 'gzip' || (compression === 'detect' && blob[0] === 0x1f && blob[1] === 0x8b);
  const zstd = compression === 'zstd' || (compression === 'detect' && blob.readUInt32LE(0) === 0xfd2fb528);
  try {
    if (gzip) return gunzipSync(blob);
    return zstd ? zstdDecompressSync(blob) : blob;
  } catch (error) {
    throw new InvalidParameterError('layer is damaged', error);
  }
}
