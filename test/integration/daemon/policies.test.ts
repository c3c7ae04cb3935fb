/** Restart policies: back-off, and what they do when the daemon comes back, after a crash or a reboot. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const NAMES = ['plain', 'always', 'unless', 'failure', 'always-stopped', 'unless-stopped'];

async function startAll(): Promise<void> {
  const sleeper = ['busybox', 'sleep', '1000'];
  const policies = { always: 'always', unless: 'unless-stopped', failure: 'on-failure', plain: 'no' };
  for (const [name, policy] of Object.entries(policies))
    await daemon.ok('run', '-d', '--name', name, '--restart', policy, ...sleeper);
  for (const policy of ['always', 'unless-stopped']) {
    const name = policy === 'always' ? 'always-stopped' : 'unless-stopped';
    await daemon.ok('run', '-d', '--name', name, '--restart', policy, ...sleeper);
    await daemon.ok('stop', '-t', '0', name);
  }
}

async function states(): Promise<Record<string, string>> {
  const found = NAMES.map(async (name) => [name, await daemon.inspect(name, '{{.State.Status}}')] as const);
  return Object.fromEntries(await Promise.all(found));
}

const UP_AFTER_ALL = {
  always: 'running',
  unless: 'running',
  'always-stopped': 'running',
  'unless-stopped': 'exited',
};

test('a daemon that comes back starts what was stopped with always only', async () => {
  await startAll();
  const pid = await daemon.inspect('always', '{{.State.Pid}}');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  await daemon.reaches('always-stopped', 'running');
  assert.deepEqual(await states(), { ...UP_AFTER_ALL, plain: 'running', failure: 'running' });
  assert.equal(await daemon.inspect('always', '{{.State.Pid}}'), pid, 'what ran was not touched');
  await daemon.removeContainers();
});

test('after a reboot policies start what ran, and the rest has exit code 255', {
  skip: TESTING_DOCKER,
}, async () => {
  await startAll();
  const pids = await Promise.all(
    ['plain', 'always', 'unless', 'failure'].map((name) => daemon.inspect(name, '{{.State.Pid}}')),
  );
  await daemon.stop('SIGKILL');
  const supervisors = pids.map(
    (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1],
  );
  for (const pid of [...supervisors, ...pids]) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // The init goes with its supervisor.
    }
  }
  await eventually('all are gone', () => readdirSync('/proc').every((entry) => !pids.includes(entry)));
  // A reboot leaves no cgroups, and empties /run.
  for (const id of (await run(['ls', join(daemon.dataRoot, 'containers')])).stdout.trim().split('\n'))
    await run([
      'find',
      '/sys/fs/cgroup',
      '-depth',
      '-type',
      'd',
      '-path',
      `*${id}*`,
      '-exec',
      'rmdir',
      '{}',
      ';',
    ]);
  const mounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path === daemon.execRoot || path.startsWith(`${daemon.execRoot}/`));
  for (const path of mounted.reverse()) await run(['umount', '-l', path]);
  for (const entry of readdirSync(daemon.execRoot))
    rmSync(join(daemon.execRoot, entry), { recursive: true, force: true });
  await daemon.launch();
  for (const name of ['always', 'unless', 'failure', 'always-stopped']) await daemon.reaches(name, 'running');
  assert.deepEqual(await states(), { ...UP_AFTER_ALL, plain: 'exited', failure: 'running' });
  assert.equal(await daemon.inspect('plain', '{{.State.ExitCode}}'), '255');
  assert.equal(await daemon.ok('exec', 'always', 'echo', 'works'), 'works');
  await daemon.removeContainers();
});

test('failures come further and further apart, a start by hand begins anew', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'fails',
    '--restart',
    'on-failure:4',
    'busybox',
    'sh',
    '-c',
    'date +%s%N; exit 7',
  );
  await daemon.reaches('fails', 'exited');
  assert.equal(await daemon.inspect('fails', '{{.RestartCount}} {{.State.ExitCode}}'), '4 7');
  const times = (await daemon.ok('logs', '-t', 'fails'))
    .split('\n')
    .map((line) => Date.parse(line.split(' ')[0] ?? ''));
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  assert.equal(gaps.length, 4);
  for (const [index, least] of [100, 200, 400, 800].entries())
    assert.ok((gaps[index] ?? 0) >= least && (gaps[index] ?? 0) < least + 1000, gaps.join(' '));
  await daemon.ok('start', 'fails');
  await eventually(
    'four more',
    async () => (await daemon.inspect('fails', '{{.State.Status}} {{.RestartCount}}')) === 'exited 4',
  );
  await daemon.ok('rm', 'fails');
});
