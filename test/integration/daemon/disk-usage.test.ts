/** `GET /system/df`: its figures are those of du over the data root, logs included. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DiskUsage } from '../../../src/api/system.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

function du(...path: string[]): number {
  return Number(
    execFileSync('du', ['-s', '--block-size=1', join(daemon.dataRoot, ...path)])
      .toString()
      .split('\t')[0],
  );
}

test('layers, containers with their logs, and volumes take what du says', async () => {
  const script =
    'yes | head -c 3000000; head -c 5000000 /dev/urandom > /big; head -c 2000000 /dev/urandom > /data/x';
  await daemon.ok('run', '--name', 'writes', '-v', 'stuff:/data', 'busybox', 'sh', '-c', script);
  const usage = (await daemon.api('GET', '/system/df')).json<DiskUsage>();
  assert.equal(usage.LayersSize, du('layers') + du('content'));
  const [container] = usage.Containers;
  const [volume] = usage.Volumes;
  assert.ok(container !== undefined && volume !== undefined);
  assert.equal(container.SizeRw, du('containers', container.Id));
  assert.ok((container.SizeRw ?? 0) > 8_000_000, 'the log counts');
  assert.equal(volume.UsageData?.Size, du('volumes', 'stuff', '_data'));
  assert.equal(volume.UsageData?.RefCount, 1);
  assert.ok(usage.Images.every(({ Containers, SharedSize }) => Containers >= 0 && SharedSize >= 0));
  await daemon.ok('rm', 'writes');
});

test('types are chosen, and wrong ones refused', async () => {
  const only = (await daemon.api('GET', '/system/df?type=volume')).json<DiskUsage>();
  assert.equal(only.Volumes.length, 1);
  assert.deepEqual([only.Images, only.Containers, only.LayersSize], [[], [], 0]);
  const refused = await daemon.api('GET', '/system/df?type=toys');
  assert.equal(refused.status, 400);
  assert.match(refused.text, /unknown object type: toys/);
});
