import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { digestHex, digestOf } from '../digest.ts';
import { ContentStore } from './content-store.ts';

let directory = '';
let store: ContentStore;
const DATA = Buffer.from('some content');
const DIGEST = digestOf(DATA);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-content-'));
  store = new ContentStore(join(directory, 'content'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('bytes go in and out under their digest', () => {
  assert.equal(store.has(DIGEST), false);
  assert.equal(store.put(DATA), DIGEST);
  assert.equal(store.put(DATA), DIGEST);
  assert.equal(store.size(DIGEST), DATA.length);
  assert.deepEqual(store.read(DIGEST, 100), DATA);
  assert.deepEqual(store.list(), [DIGEST]);
  assert.throws(() => store.read(DIGEST, 3), { kind: 'InvalidParameter' });
  store.remove(DIGEST);
  store.remove(DIGEST);
  assert.throws(() => store.read(DIGEST, 100), { kind: 'NotFound' });
});

test('a file moves in only with the right digest', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, DATA);
  await assert.rejects(store.ingestFile(file, digestOf('other')), { kind: 'InvalidParameter' });
  assert.deepEqual(readdirSync(directory).sort(), ['content', 'file']);
  await store.ingestFile(file, DIGEST);
  assert.deepEqual(store.read(DIGEST, 100), DATA);
  writeFileSync(file, DATA);
  await store.ingestFile(file, DIGEST, { verified: true });
  assert.deepEqual(readdirSync(directory), ['content']);
});

test('an ingest goes on where the last one ended, and commits only what has the digest', async () => {
  const first = await store.ingest(DIGEST);
  assert.equal(await first.resume(DATA.length), 0);
  await first.append(DATA.subarray(0, 5));
  await assert.rejects(first.commit(), /does not have digest/);
  await first.close();
  assert.equal(store.has(DIGEST), false);
  const second = await store.ingest(DIGEST);
  assert.equal(await second.resume(DATA.length), 5);
  await second.append(DATA.subarray(5));
  assert.equal(second.verified(), true);
  await second.sync();
  await second.commit();
  await second.close();
  assert.deepEqual(store.read(DIGEST, 100), DATA);
  assert.deepEqual(store.unfinished(), []);
});

test('leftovers that are too long are thrown away', async () => {
  const first = await store.ingest(DIGEST);
  await first.append(Buffer.alloc(100));
  await first.close();
  const second = await store.ingest(DIGEST);
  assert.equal(await second.resume(DATA.length), 0);
  await second.discard();
  await second.close();
  assert.deepEqual(store.unfinished(), []);
});

test('an ingest without a byte leaves no file, and one that was never read on keeps its bytes', async () => {
  const refused = await store.ingest(DIGEST);
  await refused.close();
  const wrong = await store.ingest(DIGEST);
  await wrong.append(Buffer.from('wrong'));
  await wrong.flush();
  await wrong.restart();
  await wrong.close();
  assert.deepEqual(store.unfinished(), []);
  const half = await store.ingest(DIGEST);
  await half.append(Buffer.from('half'));
  await half.close();
  await (await store.ingest(DIGEST)).close();
  assert.deepEqual(store.unfinished(), [{ digest: DIGEST, sizeBytes: 4 }]);
});

test('many chunks of all sizes arrive in order', async () => {
  const chunks = Array.from({ length: 300 }, (_, i) => Buffer.alloc(i * 97, i));
  const all = Buffer.concat(chunks);
  const ingest = await store.ingest(digestOf(all));
  await ingest.resume(all.length);
  for (const chunk of chunks) await ingest.append(chunk);
  await ingest.commit();
  await ingest.close();
  assert.deepEqual(store.read(digestOf(all), all.length), all);
});

test('one ingest of a digest at a time; a waiting one can be given up', async () => {
  const first = await store.ingest(DIGEST);
  const cancelled = new AbortController();
  const given = store.ingest(DIGEST, cancelled.signal);
  let third = false;
  const waiting = store.ingest(DIGEST).then((ingest) => {
    third = true;
    return ingest;
  });
  cancelled.abort(new Error('enough'));
  await assert.rejects(given, /enough/);
  assert.equal(third, false);
  await first.close();
  await (await waiting).close();
});

test('a sweep removes temporary files at once and unfinished blobs after a day', async () => {
  const ingest = await store.ingest(DIGEST);
  await ingest.append(DATA);
  await ingest.close();
  const blobs = join(directory, 'content', 'blobs', 'sha256');
  writeFileSync(join(blobs, '.tmp-x'), 'x');
  store.sweep();
  assert.deepEqual(readdirSync(blobs), []);
  assert.equal(store.unfinished().length, 1);
  const old = new Date(Date.now() - 25 * 3600 * 1000);
  utimesSync(join(directory, 'content', 'ingest', digestHex(DIGEST)), old, old);
  store.sweep();
  assert.deepEqual(store.unfinished(), []);
});
