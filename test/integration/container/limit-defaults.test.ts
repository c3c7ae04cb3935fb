/** What containers that say nothing get from a daemon that has defaults: parent cgroup, shm size, ulimits, cgroup namespace. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox([
    ...['--cgroup-parent', '/parents/all'],
    ...['--default-shm-size', '8m'],
    ...['--default-ulimit', 'nofile=321:654'],
    ...['--default-cgroupns-mode', 'host'],
  ]));
});
after(async () => await close());

const SCRIPT = 'ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1; cat /proc/self/cgroup';

test('defaults of the daemon', async () => {
  const told = await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', SCRIPT);
  assert.match(told, /^321\n654\n\S+ +8192 /);
  assert.match(told, /:\/.*parents\/all\/[0-9a-f]{64}$/m);
  assert.equal(await daemon.ok('info', '--format', '{{.CgroupDriver}}'), 'cgroupfs');
});

test("a container's own values win", async () => {
  const flags = ['--cgroup-parent', 'mine', '--shm-size', '4m', '--ulimit', 'nofile=99'];
  const told = await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', SCRIPT);
  assert.match(told, /^99\n99\n\S+ +4096 /);
  assert.match(told, /:\/.*mine\/[0-9a-f]{64}$/m);
  const hidden = await daemon.ok('run', '--rm', '--cgroupns', 'private', 'busybox', 'sh', '-c', SCRIPT);
  assert.match(hidden, /^\d+:[^:]*:\/$/m);
});

test('parents that cannot be are refused', async () => {
  const refused = /invalid cgroup-parent "a:b"/;
  await daemon.fails(125, refused, 'run', '--rm', '--cgroup-parent', 'a:b', 'busybox', 'true');
});
