/** Blobs on their way from a folder of a client into the content store: descriptors, and what is here already. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestHex, digestOf } from '../../image/digest.ts';
import { CacheFolder } from './cache-folder.ts';

const BYTES = Buffer.from('a layer');
const BLOB = { digest: digestOf(BYTES), sizeBytes: BYTES.length, mediaType: '' };

let directory: string;
let folder: CacheFolder;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-cache-folder-'));
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
  const { dev, ino } = statSync(directory, { bigint: true });
  folder = new CacheFolder({ src: directory, device: String(dev), inode: String(ino) }, 'src');
});
after(() => {
  folder.close();
  rmSync(directory, { recursive: true });
});

/** Descriptors of files in the folder. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${directory}/`) ? [path] : [];
    } catch {
      // That of the listing itself.
      return [];
    }
  });
}

test('what is here already need not be in the folder', async () => {
  const unused = () => assert.fail('nothing is brought');
  const store = { size: () => BLOB.sizeBytes, ingest: unused };
  await folder.copyTo(store, BLOB, new AbortController().signal);
  await assert.rejects(folder.copyTo({ ...store, size: () => undefined }, BLOB, AbortSignal.timeout(1000)), {
    kind: 'NotFound',
  });
});

test('a blob that cannot be brought leaves no descriptor', async () => {
  writeFileSync(join(directory, 'blobs/sha256', digestHex(BLOB.digest)), BYTES);
  const store = { size: () => undefined, ingest: () => Promise.reject(new Error('the disk is full')) };
  for (let i = 0; i < 3; i++) {
    await assert.rejects(folder.copyTo(store, BLOB, new AbortController().signal), /the disk is full/);
  }
  const end = Date.now() + 10_000;
  // A stream opens and closes its own in the background.
  for (let quiet = 0; quiet < 5 && Date.now() < end; quiet = openFiles().length === 0 ? quiet + 1 : 0) {
    await sleep(10);
  }
  assert.deepEqual(openFiles(), []);
});
