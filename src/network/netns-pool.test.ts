import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addon } from '../native/addon.ts';
import { NetnsPool, removeNetns } from './netns-pool.ts';
import { OWN_NETNS } from './own-netns-fixture.ts';

const NSFS_MAGIC = 0x6e736673;
const MNT_DETACH = 2;

if (OWN_NETNS.inside) suite();
else test(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

function suite(): void {
  test('what somebody has unmounted or removed behind the pool is not handed out', {
    timeout: 60_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pool-'));
    const pool = new NetnsPool(directory, 2);
    const taken: string[] = [];
    try {
      pool.refill();
      const made = async (): Promise<string[]> => {
        while (readdirSync(directory).length < 2) await sleep(10);
        await sleep(50);
        return readdirSync(directory).map((name) => join(directory, name));
      };
      const [unmounted = '', removed = ''] = await made();
      addon().unmount(unmounted, MNT_DETACH);
      removeNetns(removed);
      taken.push(await pool.take());
      assert.ok(!taken.includes(unmounted) && !taken.includes(removed));
      assert.equal(statfsSync(taken[0] ?? '').type, NSFS_MAGIC);
    } finally {
      for (const path of taken) removeNetns(path);
      await pool.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
}
