/** Everything that a pull needs, on a temporary folder with a fake snapshotter, for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../base/database.ts';
import { log } from '../../base/log.ts';
import type { PullProgress } from '../progress.ts';
import { Puller, type PullRequest, type RegistryOptions } from '../pull/puller.ts';
import { ContentStore } from '../store/content-store.ts';
import { IMAGE_MIGRATIONS, type Image, ImageStore } from '../store/image-store.ts';
import { FakeSnapshotter } from './fake-snapshotter.ts';

export interface PullOutcome {
  image: Image;
  messages: PullProgress[];
}

export class PullBench<S extends FakeSnapshotter = FakeSnapshotter> implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'mydock-image-'));
  readonly database: Database = openDatabase(':memory:', [IMAGE_MIGRATIONS]);
  readonly content = new ContentStore(join(this.directory, 'content'));
  readonly snapshotter: S;
  readonly images: ImageStore;
  readonly messages: PullProgress[] = [];
  readonly puller: Puller;

  /** `makeSnapshotter` is given a folder that does not exist yet. */
  constructor(
    registry: RegistryOptions = {},
    makeSnapshotter: (root: string) => S = () => new FakeSnapshotter() as S,
  ) {
    log.level = 'fatal';
    this.snapshotter = makeSnapshotter(join(this.directory, 'layers'));
    this.images = new ImageStore({
      database: this.database,
      contentStore: this.content,
      snapshotter: this.snapshotter,
    });
    this.puller = this.newPuller(registry);
  }

  /** Another puller over the same stores, as after a restart. */
  newPuller(registry: RegistryOptions): Puller {
    return new Puller({
      contentStore: this.content,
      imageStore: this.images,
      snapshotter: this.snapshotter,
      registry: { certificateDirectories: [], env: {}, retryDelayMs: 5, stallTimeoutMs: 20_000, ...registry },
    });
  }

  async pull(reference: string, request: Partial<PullRequest> = {}): Promise<PullOutcome> {
    const messages: PullProgress[] = [];
    const image = await this.puller.pull({
      reference,
      onProgress: (message) => {
        messages.push(message);
        this.messages.push(message);
      },
      signal: AbortSignal.timeout(300_000),
      ...request,
    });
    return { image, messages };
  }

  [Symbol.dispose](): void {
    this.database.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
