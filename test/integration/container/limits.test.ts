/** Resource limits: -m, --cpus, --pids-limit, as the container's cgroup has them and as the kernel enforces them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** The first of these cgroup files that the container sees: v1's name and v2's. */
async function cgroupFile(flags: readonly string[], v1: string, v2: string): Promise<string> {
  const line = `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`;
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

test("-m limits memory, and the OOM killer's work is reported", async () => {
  assert.equal(await cgroupFile(['-m', '64m'], 'memory/memory.limit_in_bytes', 'memory.max'), '67108864');
  const line = 'x=a; while :; do x=$x$x$x; done';
  const result = await daemon.mydock(['run', '--name', 'greedy', '-m', '16m', 'busybox', 'sh', '-c', line]);
  assert.equal(result.code, 137, result.stderr);
  assert.equal(await daemon.inspect('greedy', '{{.State.OOMKilled}} {{.State.ExitCode}}'), 'true 137');
  await daemon.ok('rm', 'greedy');
});

test('--cpus is a quota', async () => {
  const quota = await cgroupFile(['--cpus', '0.5'], 'cpu/cpu.cfs_quota_us', 'cpu.max');
  assert.match(quota, /^50000\b/);
});

test('--pids-limit stops forks', async () => {
  assert.equal(await cgroupFile(['--pids-limit', '20'], 'pids/pids.max', 'pids.max'), '20');
  const line = 'for i in $(seq 30); do sleep 5 & done; echo unreachable';
  const result = await daemon.mydock(['run', '--rm', '--pids-limit', '10', 'busybox', 'sh', '-c', line]);
  assert.match(result.stderr, /can't fork/);
});

test('limits that make no sense are refused before anything is made', async () => {
  await daemon.fails(125, /Minimum memory limit allowed is 6MB/, 'run', '--rm', '-m', '1m', 'busybox');
  await daemon.fails(125, /[Rr]ange of CPUs is from 0\.01 to/, 'run', '--rm', '--cpus', '9999', 'busybox');
  assert.equal(await daemon.ok('ps', '-aq'), '');
});

test('out of memory is told when it happens, also when another process than the first pays for it', async () => {
  await daemon.ok('run', '-d', '--name', 'survivor', '-m', '16m', 'busybox', 'sleep', '1000');
  const since = Math.floor(Date.now() / 1000) - 1;
  const line = 'x=a; while :; do x=$x$x$x; done';
  const eaten = await daemon.mydock(['exec', 'survivor', 'sh', '-c', line]);
  assert.equal(eaten.code, 137, eaten.stderr);
  await eventually(
    'the container is said to be out of memory, and to run on',
    async () => (await daemon.inspect('survivor', '{{.State.Running}} {{.State.OOMKilled}}')) === 'true true',
  );
  const filters = ['--filter', 'container=survivor', '--filter', 'event=oom', '--filter', 'event=die'];
  const told = async () =>
    await daemon.ok(
      'events',
      '--since',
      `${since}`,
      '--until',
      `${Math.ceil(Date.now() / 1000)}`,
      ...filters,
    );
  assert.match(await told(), / container oom /);
  await daemon.ok('rm', '-f', 'survivor');
  assert.match(await told(), /container oom [\s\S]*container die /);
});
