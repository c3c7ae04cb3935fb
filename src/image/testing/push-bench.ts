/** Everything that a push needs, over the stores of a PullBench, for tests. */

import type { PullProgress } from '../progress.ts';
import { type PushAux, Pusher, type PusherOptions, type PushRequest } from '../push/pusher.ts';
import type { Image } from '../store/image-store.ts';
import type { TestImage } from './image-builder.ts';
import { PullBench } from './pull-bench.ts';

export interface PushOutcome {
  messages: PullProgress[];
  /** The last status of each layer, in the order in which they were first named. */
  layers: string[];
  aux: PushAux['aux'][];
  /** Digest under which the last tag stands. */
  digest: string;
}

export class PushBench extends PullBench {
  readonly pusher: Pusher;
  /** Of the push that failed last, too. */
  lastMessages: (PullProgress | PushAux)[] = [];

  constructor(options: Partial<PusherOptions> = {}) {
    super();
    this.pusher = new Pusher({
      contentStore: this.content,
      imageStore: this.images,
      snapshotter: this.snapshotter,
      registry: { certificateDirectories: [], env: {}, retryDelayMs: 5, stallTimeoutMs: 20_000 },
      ...options,
    });
  }

  /** An image that was made here: layers without blobs, no manifest. */
  make(image: TestImage, ...references: string[]): Image {
    for (const { diffId, tar } of image.layers) this.snapshotter.stored.set(diffId, tar);
    const layers = image.layers.map(({ diffId }) => ({ diffId }));
    return this.images.add({ configBytes: image.config, layers, references });
  }

  /** An image as a pull leaves it, with its blobs and manifest. */
  keep(image: TestImage, ...references: string[]): Image {
    for (const { diffId, tar, blob } of image.layers) {
      this.snapshotter.stored.set(diffId, tar);
      this.content.put(blob);
    }
    const { manifest: bytes, mediaType, digest } = image;
    const layers = image.layers.map((layer) => ({
      diffId: layer.diffId,
      blobDigest: layer.digest,
      mediaType: layer.mediaType,
    }));
    return this.images.add({
      configBytes: image.config,
      manifest: { bytes, mediaType, digest },
      layers,
      references,
    });
  }

  async push(reference: string, request: Partial<PushRequest> = {}): Promise<PushOutcome> {
    const all: (PullProgress | PushAux)[] = [];
    this.lastMessages = all;
    await this.pusher.push({
      reference,
      onProgress: (message) => all.push(message),
      signal: AbortSignal.timeout(300_000),
      ...request,
    });
    const messages = all.filter((message) => 'status' in message);
    const layers = new Map(messages.flatMap(({ id, status }) => (id === undefined ? [] : [[id, status]])));
    const aux = all.flatMap((message) => ('aux' in message ? [message.aux] : []));
    const pushed = aux.findLast((one) => 'Digest' in one);
    return { messages, layers: [...layers.values()], aux, digest: pushed?.Digest ?? '' };
  }
}
