/** What is remembered of files has limits also where the daemon, and with it the table, stays open for long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIGEST_BYTES } from '../../image/layers/tree-digests.ts';
import { STATE_COUNT } from '../../native/tree.ts';
import { FileDigests } from './file-digests.ts';

const FILE_BYTES = STATE_COUNT * 8 + DIGEST_BYTES;
const FILES = 10;

const identity = (inode: number) => ({ device: 1, inode: String(inode) });
const files = () =>
  Array.from({ length: FILES }, () => ({
    state: new Float64Array(STATE_COUNT),
    digest: new Uint8Array(DIGEST_BYTES),
  }));

test('directories beyond the limit are forgotten while the table is open', () => {
  const directories = 20;
  const digests = new FileDigests(':memory:', { maxBytes: directories * FILES * FILE_BYTES });
  const count = 10 * directories;
  for (let inode = 0; inode < count; inode++) {
    digests.remember([{ identity: identity(inode), files: files() }]);
  }
  const known = Array.from({ length: count }, (_, inode) => digests.known(identity(inode))).filter(
    (one) => one !== undefined,
  ).length;
  // An eighth more than the limit, at the most.
  assert.ok(known >= directories / 2 && known <= directories * 1.25, `${known} directories are known`);
  assert.ok(digests.known(identity(count - 1)) !== undefined, 'the last one is');
  digests.close();
});

test('so are keys of selections', () => {
  const digests = new FileDigests(':memory:', { maxKeys: 40 });
  for (let i = 0; i < 400; i++) digests.rememberKey(`selection ${i}`, `key ${i}`);
  const known = Array.from({ length: 400 }, (_, i) => digests.key(`selection ${i}`)).filter(
    (key) => key !== undefined,
  ).length;
  assert.ok(known <= 50, `${known} keys are known`);
  digests.close();
});
