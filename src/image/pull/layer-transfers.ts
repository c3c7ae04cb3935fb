/**
 * Brings layers from a registry into the content store and the snapshotter. Each layer flows by itself and in one pass:
 * the snapshotter reads the blob as it comes, and the layer is there soon after the last byte was verified. Pulls that
 * want the same layer at the same time share one transfer; it goes on until the last of them gives up.
 */

import { EngineError, errorMessage, isDiskFull } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { step } from '../../base/steps.ts';
import { abortable } from '../abortable.ts';
import type { DiffID } from '../digest.ts';
import type { LayerSource, Snapshotter } from '../layers/snapshotter.ts';
import type { Descriptor } from '../manifest.ts';
import { layerStatus, type OnProgress, ProgressMeter, type PullProgress, shortDigest } from '../progress.ts';
import { RateLimit } from '../rate-limit.ts';
import type { RepositoryClient } from '../registry/client.ts';
import { downloadBlob } from '../registry/download.ts';
import type { ResolvedRegistryOptions } from '../registry/options.ts';
import { Semaphore } from '../semaphore.ts';
import { type ContentStore, hashFile } from '../store/content-store.ts';
import type { Ingest } from '../store/ingest.ts';

export interface LayerTransferRequest {
  client: RepositoryClient;
  descriptor: Descriptor;
  /** What the image's configuration says the layer unpacks to. */
  diffId: DiffID;
  onProgress: OnProgress;
  signal: AbortSignal;
}

interface Transfer {
  result: Promise<void>;
  listeners: Set<OnProgress>;
  last: PullProgress | undefined;
  abort: AbortController;
}

export class LayerTransfers {
  readonly #content: ContentStore;
  readonly #snapshotter: Snapshotter;
  readonly #registry: ResolvedRegistryOptions;
  readonly #slots: Semaphore;
  readonly #rate: RateLimit | undefined;
  readonly #transfers = new Map<string, Transfer>();

  constructor(options: {
    contentStore: ContentStore;
    snapshotter: Snapshotter;
    registry: ResolvedRegistryOptions;
  }) {
    this.#content = options.contentStore;
    this.#snapshotter = options.snapshotter;
    this.#registry = options.registry;
    this.#slots = new Semaphore(options.registry.maxConcurrentDownloads);
    const bytesPerSec = options.registry.maxDownloadBytesPerSec;
    this.#rate = bytesPerSec === 0 ? undefined : new RateLimit(bytesPerSec);
  }

  /**
   * Resolves when the layer is unpacked and its blob stands in the content store. Rejects with the signal's reason;
   * the work goes on as long as somebody else waits for it.
   */
  async transfer(request: LayerTransferRequest): Promise<void> {
    const { signal, onProgress } = request;
    signal.throwIfAborted();
    const key = `${request.descriptor.digest} ${request.diffId}`;
    const transfer = this.#transfers.get(key) ?? this.#start(key, request);
    if (!transfer.listeners.has(onProgress) && transfer.last !== undefined) onProgress(transfer.last);
    transfer.listeners.add(onProgress);
    try {
      await abortable(transfer.result, signal);
    } finally {
      transfer.listeners.delete(onProgress);
      if (transfer.listeners.size === 0) {
        transfer.abort.abort(signal.reason);
        if (this.#transfers.get(key) === transfer) this.#transfers.delete(key);
        // The caller may rely on nothing being written any more once its pull has failed.
        await transfer.result.catch(() => undefined);
      }
    }
  }

  #start(key: string, request: LayerTransferRequest): Transfer {
    const transfer: Transfer = {
      result: Promise.resolve(),
      listeners: new Set([request.onProgress]),
      last: undefined,
      abort: new AbortController(),
    };
    const emit: OnProgress = (message) => {
      transfer.last = message;
      for (const listener of transfer.listeners) listener(message);
    };
    emit(layerStatus(shortDigest(request.descriptor.digest), 'Pulling fs layer'));
    const { client, descriptor, diffId } = request;
    transfer.result = this.#run({
      client,
      descriptor,
      diffId,
      onProgress: emit,
      signal: transfer.abort.signal,
    });
    transfer.result
      .finally(() => {
        if (this.#transfers.get(key) === transfer) this.#transfers.delete(key);
      })
      .catch(() => {
        // Whoever waits for the transfer gets its error.
      });
    this.#transfers.set(key, transfer);
    return transfer;
  }

  async #run(request: LayerTransferRequest): Promise<void> {
    const { descriptor, signal } = request;
    const id = shortDigest(descriptor.digest);
    if (!this.#slots.tryAcquire()) {
      request.onProgress(layerStatus(id, 'Waiting'));
      await this.#slots.acquire(signal);
    }
    let holding = true;
    const release = (): void => {
      if (holding) this.#slots.release();
      holding = false;
    };
    try {
      const ingest = await this.#content.ingest(descriptor.digest, signal);
      try {
        await this.#fill(ingest, request, release);
      } catch (error) {
        // What was fetched so far would keep the disk full. The other layers of the pull are aborted for this reason.
        if (isDiskFull(error)) await ingest.discard();
        throw error;
      } finally {
        await ingest.close();
      }
    } finally {
      release();
    }
    request.onProgress(layerStatus(id, 'Pull complete'));
  }

  async #fill(ingest: Ingest, request: LayerTransferRequest, downloaded: () => void): Promise<void> {
    const { descriptor } = request;
    if (this.#content.size(descriptor.digest) === descriptor.sizeBytes) {
      downloaded();
      await ingest.discard();
      if (await this.#addStored(request)) return;
      return await this.#run(request);
    }
    await this.#bring(ingest, request, downloaded);
  }

  /** Download and snapshotter at the same time; where one fails, the other ends too. */
  async #bring(ingest: Ingest, request: LayerTransferRequest, downloaded: () => void): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([request.signal, failed.signal]);
    const both = { ...request, signal };
    const phase = { downloaded: false };
    const adding = this.#addWhileGrowing(ingest, both, phase);
    adding.catch((error: unknown) => failed.abort(error));
    try {
      await step('pull/download', request.descriptor.digest, () => this.#download(ingest, both));
      phase.downloaded = true;
      downloaded();
      const [added, synced] = await Promise.allSettled([adding, ingest.sync()]);
      if (added.status === 'rejected') throw added.reason;
      if (synced.status === 'rejected') throw synced.reason;
      await step('pull/blob', request.descriptor.digest, () => ingest.commit());
    } catch (error) {
      failed.abort(error);
      await adding.catch(() => undefined);
      request.signal.throwIfAborted();
      // The bytes are what the manifest names, so it is the image that is broken: they are of no use to a later pull.
      const broken = error instanceof EngineError && error.kind === 'InvalidParameter';
      if (broken && phase.downloaded) await ingest.discard();
      throw error;
    }
  }

  /**
   * Unpacks the blob as it comes, again from the start where the download begins anew. What the snapshotter says of the
   * content counts only when the blob is verified: until then it may be the download that is wrong.
   */
  async #addWhileGrowing(
    ingest: Ingest,
    request: LayerTransferRequest,
    phase: { readonly downloaded: boolean },
  ): Promise<void> {
    const { signal } = request;
    for (;;) {
      const { growing } = ingest;
      try {
        await this.#add({ blobPath: ingest.path, growing }, request, phase);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const content = error instanceof EngineError && error.kind === 'InvalidParameter';
        if (!growing.lost.aborted && !content) throw error;
        if ((await growing.settled(signal)) === 'whole' || ingest.growing === growing) throw error;
      }
    }
  }

  /** Unpacks a blob that the content store already holds; false where that blob turned out to be damaged. */
  async #addStored(request: LayerTransferRequest): Promise<boolean> {
    const { digest } = request.descriptor;
    request.onProgress(layerStatus(shortDigest(digest), 'Download complete'));
    try {
      await this.#add({ blobPath: this.#content.path(digest) }, request, { downloaded: true });
      return true;
    } catch (error) {
      request.signal.throwIfAborted();
      if ((await hashFile(this.#content.path(digest))) === digest) throw error;
      log.warn({ digest, error: errorMessage(error) }, 'stored blob is damaged, fetching it again');
      this.#content.remove(digest);
      return false;
    }
  }

  async #download(ingest: Ingest, request: LayerTransferRequest): Promise<void> {
    const { client, descriptor, signal, onProgress } = request;
    const id = shortDigest(descriptor.digest);
    const meter = new ProgressMeter(id, 'Downloading', descriptor.sizeBytes, onProgress);
    await downloadBlob({
      client,
      descriptor,
      ingest,
      registry: this.#registry,
      rate: this.#rate,
      signal,
      onBytes: (sizeBytes) => meter.update(sizeBytes),
      onRetry: (seconds) => {
        onProgress(layerStatus(id, `Retrying in ${seconds} second${seconds === 1 ? '' : 's'}`));
      },
    });
    onProgress(layerStatus(id, 'Verifying Checksum'));
    await ingest.complete();
    onProgress(layerStatus(id, 'Download complete'));
  }

  async #add(
    blob: Pick<LayerSource, 'blobPath' | 'growing'>,
    request: LayerTransferRequest,
    phase: { readonly downloaded: boolean },
  ): Promise<void> {
    const { descriptor, diffId, signal } = request;
    const id = shortDigest(descriptor.digest);
    const meter = new ProgressMeter(id, 'Extracting', descriptor.sizeBytes, request.onProgress);
    /* Clients draw one bar a layer: extracting is told of when downloading is over. */
    const onProgress = (consumedBytes: number): void => {
      if (phase.downloaded) meter.update(consumedBytes);
    };
    try {
      await step('pull/layer', diffId, () =>
        this.#snapshotter.add({ ...blob, compression: 'detect', diffId, onProgress }, signal),
      );
    } catch (error) {
      signal.throwIfAborted();
      const kind = error instanceof EngineError ? error.kind : 'Internal';
      throw new EngineError(kind, `failed to register layer: ${errorMessage(error)}`, error);
    }
    onProgress(descriptor.sizeBytes);
  }
}
