/**
 * A process that pulls, for tests that kill it: `node pull-process.ts <data root> <reference>`. It does what a daemon
 * does at its start and on a pull, with the real overlay driver and a real database file.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../base/database.ts';
import { log } from '../../base/log.ts';
import { OverlaySnapshotter } from '../layers/overlay.ts';
import { Puller } from '../pull/puller.ts';
import { ContentStore } from '../store/content-store.ts';
import { IMAGE_MIGRATIONS, ImageStore } from '../store/image-store.ts';

const [root = '', reference = ''] = process.argv.slice(2);
log.level = 'fatal';
mkdirSync(root, { recursive: true });
const database = openDatabase(join(root, 'mydock.db'), [IMAGE_MIGRATIONS]);
const contentStore = new ContentStore(join(root, 'content'));
const snapshotter = new OverlaySnapshotter(join(root, 'layers'));
const imageStore = new ImageStore({ database, contentStore, snapshotter });
await snapshotter.sweep();
const found = imageStore.tryResolve(reference);
// Whatever moment the last process died at: an image that is visible is whole.
const broken = found?.diffIds.filter((diffId) => snapshotter.layer(diffId) === undefined) ?? [];
await imageStore.sweep();
let downloading = 0;
if (found === undefined) {
  const puller = new Puller({
    contentStore,
    imageStore,
    snapshotter,
    registry: { env: {}, retryDelayMs: 5 },
  });
  await puller.pull({
    reference,
    signal: AbortSignal.timeout(300_000),
    onProgress: ({ status }) => {
      if (status === 'Pulling fs layer') downloading += 1;
    },
  });
}
process.stdout.write(`${JSON.stringify({ found: found !== undefined, broken, downloading })}\n`);
