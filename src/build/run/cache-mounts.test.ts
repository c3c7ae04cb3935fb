import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CacheMounts } from './cache-mounts.ts';

const REQUEST = {
  id: 'x',
  sharing: 'shared',
  fromKey: '',
  mode: 0o755,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  description: 'cached mount /x',
} as const;

test('what interrupted makings and records have left is swept, and the cache stays', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'cache-mounts-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const { signal } = new AbortController();
  const lease = await new CacheMounts(directory).acquire(REQUEST, () => undefined, signal);
  writeFileSync(join(lease.path, '.tmp-of-the-build'), 'kept');
  lease.release();
  const [name = ''] = readdirSync(directory);
  const leftovers = [join(directory, '.tmp-making'), join(directory, name, '.tmp-record.json-0123')];
  for (const path of leftovers) writeFileSync(path, '');

  const caches = new CacheMounts(directory);
  await caches.sweep();
  assert.deepEqual(leftovers.filter(existsSync), []);
  const again = await caches.acquire(REQUEST, () => undefined, signal);
  assert.equal(again.path, lease.path);
  assert.equal(readFileSync(join(again.path, '.tmp-of-the-build'), 'utf8'), 'kept');
});
