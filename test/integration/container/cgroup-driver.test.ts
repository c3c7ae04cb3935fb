/** The systemd cgroup driver, where systemd is process 1: scopes, slices, limits that outlive a reload, and their end. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = existsSync('/run/systemd/private') ? false : 'this host does not run systemd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  if (skip !== false) return;
  ({ daemon, close } = await daemonWithBusybox(['--exec-opt', 'native.cgroupdriver=systemd']));
});
after(async () => {
  if (skip === false) await close();
});

/** One property of a container's scope. */
function property(id: string, name: string): string {
  return execFileSync('systemctl', ['show', `mydock-${id}.scope`, `--property=${name}`, '--value'], {
    encoding: 'utf8',
  }).trim();
}

async function own(container: string, v2: string, v1: string): Promise<string> {
  const line = `cat /sys/fs/cgroup/${v2} 2>/dev/null || cat /sys/fs/cgroup/${v1}`;
  return await daemon.ok('exec', container, 'sh', '-c', line);
}

test('a container is a scope with its limits; update and reload keep them; nothing is left', {
  skip,
}, async () => {
  assert.equal(await daemon.ok('info', '--format', '{{.CgroupDriver}}'), 'systemd');
  const limits = ['-m', '64m', '--pids-limit', '40', '--cpus', '0.5'];
  const id = await daemon.ok('run', '-d', '--name', 'scoped', ...limits, 'busybox', 'sleep', '1000');
  assert.equal(property(id, 'ActiveState'), 'active');
  assert.equal(property(id, 'Slice'), 'system.slice');
  assert.equal(property(id, 'TasksMax'), '40');
  assert.equal(property(id, 'CPUQuotaPerSecUSec'), '500ms');
  await daemon.ok('update', '--pids-limit', '50', '-m', '80m', '--memory-swap', '160m', 'scoped');
  execFileSync('systemctl', ['daemon-reload']);
  assert.equal(await own('scoped', 'pids.max', 'pids/pids.max'), '50');
  assert.equal(await own('scoped', 'memory.max', 'memory/memory.limit_in_bytes'), `${80 << 20}`);
  assert.equal(property(id, 'TasksMax'), '50');
  const stats = await daemon.ok('stats', '--no-stream', '--format', '{{.PIDs}} {{.MemUsage}}', 'scoped');
  assert.match(stats, /^1 .* \/ 80MiB$/);
  assert.match(await daemon.ok('top', 'scoped'), /sleep/);
  await daemon.ok('pause', 'scoped');
  assert.equal(await daemon.inspect('scoped', '{{.State.Status}}'), 'paused');
  await daemon.ok('unpause', 'scoped');
  await daemon.stop();
  await daemon.launch();
  assert.equal(await daemon.inspect('scoped', '{{.State.Status}}'), 'running');
  await daemon.ok('rm', '-f', 'scoped');
  assert.equal(property(id, 'LoadState'), 'not-found');
});

test('a slice as parent; what is none is refused', { skip }, async () => {
  const id = await daemon.ok(
    ...['run', '-d', '--name', 'sliced', '--cgroup-parent', 'mydock-deep.slice', 'busybox', 'sleep', '1000'],
  );
  assert.match(
    property(id, 'ControlGroup'),
    /\/mydock\.slice\/mydock-deep\.slice\/mydock-[0-9a-f]{64}\.scope$/,
  );
  await daemon.ok('rm', '-f', 'sliced');
  const refused = /cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"/;
  await daemon.fails(125, refused, 'run', '--rm', '--cgroup-parent', '/plain', 'busybox', 'true');
});

test('what is left of a scope makes room; one with processes is refused', { skip }, async () => {
  const id = await daemon.ok('create', '--name', 'again', 'busybox', 'sleep', '1000');
  const scope = `mydock-${id}.scope`;
  /** A scope of the container's name, with a process of somebody else's. */
  const occupy = async (...properties: string[]) => {
    const sleeper = spawn(
      'systemd-run',
      ['--scope', '--quiet', `--unit=${scope}`, ...properties, 'sleep', '1000'],
      { stdio: 'ignore' },
    );
    const ended = new Promise((resolve) => sleeper.once('exit', resolve));
    await eventually('the scope is there', () => property(id, 'ActiveState') !== 'inactive');
    return { ended };
  };
  const failed = await occupy('--property=RuntimeMaxSec=1');
  await failed.ended;
  await eventually('the scope has failed', () => property(id, 'ActiveState') === 'failed');
  await daemon.ok('start', 'again');
  assert.equal(property(id, 'ActiveState'), 'active');
  await daemon.ok('kill', 'again');
  await eventually('the scope is gone', () => property(id, 'LoadState') === 'not-found');

  // The runtime stops nobody's processes; the engine ends those in its container's name once the start has failed.
  const { ended } = await occupy();
  await daemon.fails(1, /mydock-\w+\.scope exists already and has processes/, 'start', 'again');
  await ended;
  await daemon.ok('start', 'again');
  await daemon.ok('rm', '-f', 'again');
});
