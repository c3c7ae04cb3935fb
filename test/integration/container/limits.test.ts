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

test('what cannot be held to is refused, kernel memory passed over, as Docker does', async () => {
  const quota = /--storage-opt is supported only for overlay over xfs with 'pquota' mount option/;
  await daemon.fails(125, quota, 'run', '--rm', '--storage-opt', 'size=1g', 'busybox', 'true');
  await daemon.fails(
    125,
    /unknown option color/,
    'run',
    '--rm',
    '--storage-opt',
    'color=red',
    'busybox',
    'true',
  );
  const told = await daemon.mydock(['run', '--rm', '--kernel-memory', '50m', 'busybox', 'true']);
  assert.deepEqual([told.code, told.stderr], [0, '']);
});

test('rates and weights of devices that are none are refused', async () => {
  const rate = ['--device-read-bps', '/dev/null-and-void:1mb'];
  await daemon.fails(
    127,
    /null-and-void: ENOENT: no such file or directory/,
    'run',
    '--rm',
    ...rate,
    'busybox',
    'true',
  );
  const weight = /Range of blkio weight is from 10 to 1000|does not support Block I\/O weight/;
  const told = await daemon.mydock(['run', '--rm', '--blkio-weight', '5', 'busybox', 'true']);
  assert.match(told.stderr, weight);
});

test('every limit of a container is in the kernel', async () => {
  const see = async (flags: string[], v1: string, v2: string) => await cgroupFile(flags, v1, v2);
  assert.match(await see(['--cpu-shares', '2048'], 'cpu/cpu.shares', 'cpu.weight'), /^(2048|174)$/);
  assert.match(
    await see(['--cpu-period', '50000', '--cpu-quota', '20000'], 'cpu/cpu.cfs_quota_us', 'cpu.max'),
    /^20000( 50000)?$/,
  );
  assert.equal(await see(['--cpuset-cpus', '0'], 'cpuset/cpuset.cpus', 'cpuset.cpus'), '0');
  assert.equal(await see(['--cpuset-mems', '0'], 'cpuset/cpuset.mems', 'cpuset.mems'), '0');
  const swap = ['-m', '32m', '--memory-swap', '48m'];
  const total = await see(swap, 'memory/memory.memsw.limit_in_bytes', 'memory.swap.max');
  assert.ok([48 << 20, 16 << 20].includes(Number(total)), total);
  const soft = ['--memory-reservation', '16m'];
  assert.equal(await see(soft, 'memory/memory.soft_limit_in_bytes', 'memory.low'), `${16 << 20}`);
  assert.equal(
    await daemon.ok('run', '--rm', '--oom-score-adj', '321', 'busybox', 'cat', '/proc/self/oom_score_adj'),
    '321',
  );
});
