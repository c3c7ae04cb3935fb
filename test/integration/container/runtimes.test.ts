/**
 * Containers of our own runtime and of Debian's runc and crun under our supervisor: one table of what a user does with a
 * container, run over all three; then how runtimes are configured, and what their failures look like.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { OWN_RUNTIME } from '../../../src/container/runtimes.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const RUNC = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path)) ?? '/usr/sbin/runc';
const UNIFIED = '/sys/fs/cgroup/unified';

let daemon: Daemon;
let close: () => Promise<void>;
let config: string;

before(async () => {
  mkdirSync('/run/runtimes');
  config = '/run/runtimes/daemon.json';
  writeFileSync(
    config,
    JSON.stringify({
      runtimes: {
        runc: { path: RUNC },
        crun: { path: crunProgram() },
        debugged: { path: RUNC, runtimeArgs: ['--debug'] },
        missing: { path: '/nowhere/runtime' },
        silent: { path: program('silent', 'exit 3') },
        talking: { path: program('talking', 'echo "talking: no such luck" >&2; exit 1') },
        lying: { path: program('lying', 'exit 0') },
      },
    }),
  );
  ({ daemon, close } = await daemonWithBusybox(['--config-file', config]));
});
after(async () => await close());

function program(name: string, script: string): string {
  const path = `/run/runtimes/${name}`;
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** crun refuses hosts that have v1 and v2 controllers at once: there it is shown v1 alone. */
function crunProgram(): string {
  const controllers = join(UNIFIED, 'cgroup.controllers');
  if (!existsSync(controllers) || readFileSync(controllers, 'utf8').trim() === '') return '/usr/bin/crun';
  return program(
    'crun',
    `exec unshare --mount sh -c 'mount -t tmpfs none ${UNIFIED}; exec /usr/bin/crun "$@"' crun "$@"`,
  );
}

/** `run` with a runtime; the flags before the image. */
function runArgs(runtime: string, flags: readonly string[], ...command: string[]): string[] {
  return ['run', '--runtime', runtime, ...flags, 'busybox', ...command];
}

async function background(runtime: string, flags: readonly string[], ...command: string[]): Promise<string> {
  return await daemon.ok(...runArgs(runtime, ['-d', ...flags], ...command));
}

const text = async (container: string, ...command: string[]): Promise<string> =>
  await daemon.ok('exec', container, ...command);

type Case = [title: string, check: (runtime: string) => Promise<void>];

const CASES: Case[] = [
  [
    'output, exit codes and signals',
    async (runtime) => {
      const done = await daemon.mydock(
        runArgs(runtime, ['--rm'], 'sh', '-c', 'echo out; echo err >&2; exit 3'),
      );
      assert.deepEqual(done, { code: 3, stdout: 'out\n', stderr: 'err\n' });
      const frame = /OCI runtime create failed: .*(not found|no such file)/i;
      await daemon.fails(127, frame, ...runArgs(runtime, ['--rm'], 'no-such-program'));
      await daemon.fails(
        // crun's words mean nothing to clients.
        runtime === 'crun' ? 125 : 126,
        /denied|is a directory|open executable/i,
        ...runArgs(runtime, ['--rm'], '/etc'),
      );
    },
  ],
  [
    'stdin reaches the program, and its end too',
    async (runtime) => {
      const done = await daemon.ends(0, runArgs(runtime, ['--rm', '-i'], 'sh', '-c', 'cat; echo end'), {
        stdin: 'hello\n',
      });
      assert.equal(done.stdout, 'hello\nend\n');
      const container = await background(runtime, [], 'sleep', '1000');
      const exec = await daemon.ends(0, ['exec', '-i', container, 'cat'], { stdin: 'x'.repeat(300_000) });
      assert.equal(exec.stdout.length, 300_000);
      await daemon.ok('rm', '-f', container);
    },
  ],
  [
    'terminals of run and exec have the size of the client’s',
    async (runtime) => {
      const options = { tty: true, size: [33, 111] as const };
      const script =
        'until [ "$(stty size)" = "33 111" ]; do usleep 20000; done; echo "at $(tty) $(stty size)"; exit 5';
      const done = await daemon.ends(5, runArgs(runtime, ['--rm', '-it'], 'sh', '-c', script), options);
      assert.match(done.stdout, /at \/dev\/(pts\/0|console) 33 111\r\n/);
      const container = await background(runtime, [], 'sleep', '1000');
      const exec = await daemon.ends(5, ['exec', '-it', container, 'sh', '-c', script], options);
      assert.match(exec.stdout, /at \/dev\/pts\/\d 33 111\r\n/);
      await daemon.ok('rm', '-f', container);
    },
  ],
  [
    'exec: user, environment, folder, privileges, exit codes, a program that is not there',
    async (runtime) => {
      const container = await background(runtime, [], 'sleep', '1000');
      const who = await daemon.ok(
        'exec',
        '-u',
        '1000:7',
        '-w',
        '/tmp',
        '-e',
        'A=b',
        container,
        'sh',
        '-c',
        'id -u; id -g; pwd; echo $A',
      );
      assert.equal(who, '1000\n7\n/tmp\nb');
      const bounding = (caps: string): bigint => BigInt(`0x${/CapBnd:\s+(\w+)/.exec(caps)?.[1] ?? '0'}`);
      const plain = bounding(await text(container, 'cat', '/proc/self/status'));
      const all = bounding(await daemon.ok('exec', '--privileged', container, 'cat', '/proc/self/status'));
      assert.equal(plain, 0xa80425fbn);
      assert.equal(all & plain, plain);
      assert.ok(all > plain);
      await daemon.ends(9, ['exec', container, 'sh', '-c', 'exit 9']);
      const missing = await daemon.mydock(['exec', container, 'no-such-program']);
      assert.match(missing.stdout + missing.stderr, /OCI runtime exec failed: .*(not found|no such file)/i);
      assert.notEqual(missing.code, 0);
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          assert.equal(await text(container, 'sh', '-c', `echo ${index}`), String(index));
        }),
      );
      await daemon.ok('rm', '-f', container);
    },
  ],
  [
    'attach, logs, top, stats, pause, update, cp',
    async (runtime) => {
      const container = await background(runtime, ['-i', '--memory', '64m'], 'sh', '-c', 'echo begin; cat');
      const attached = daemon.live(['attach', '--no-stdin', container]);
      await eventually('it says begin', async () => (await daemon.ok('logs', container)) === 'begin');
      assert.match(await daemon.ok('top', container), /cat/);
      const stats = await daemon.ok('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}', container);
      assert.match(stats, /\/ 64MiB [1-9]/);
      await daemon.ok('pause', container);
      assert.equal(await daemon.inspect(container, '{{.State.Status}}'), 'paused');
      await daemon.ok('unpause', container);
      await daemon.ok('update', '--memory', '96m', '--memory-swap', '96m', container);
      assert.match(
        await daemon.ok('stats', '--no-stream', '--format', '{{.MemUsage}}', container),
        /\/ 96MiB/,
      );
      writeFileSync('/run/runtimes/file', 'copied\n');
      await daemon.ok('cp', '/run/runtimes/file', `${container}:/tmp/file`);
      assert.equal(await text(container, 'cat', '/tmp/file'), 'copied');
      await daemon.ok('kill', container);
      await attached.ended;
      await daemon.ok('rm', container);
    },
  ],
  [
    'stop lets the program end by itself; signals come in order; kill kills a paused one',
    async (runtime) => {
      const trap =
        'trap "echo usr1" USR1; trap "echo usr2" USR2; trap "echo term; exit 4" TERM; echo on; while :; do usleep 20000; done';
      const container = await background(runtime, [], 'sh', '-c', trap);
      await eventually('it listens', async () => (await daemon.ok('logs', container)) === 'on');
      await daemon.ok('kill', '-s', 'USR1', container);
      await eventually('usr1', async () => /usr1/.test(await daemon.ok('logs', container)));
      await daemon.ok('kill', '-s', 'USR2', container);
      await daemon.ok('stop', '-t', '30', container);
      assert.equal(await daemon.ok('logs', container), 'on\nusr1\nusr2\nterm');
      assert.equal(await daemon.inspect(container, '{{.State.ExitCode}}'), '4');
      await daemon.ok('start', container);
      await daemon.ok('pause', container);
      await daemon.ok('kill', container);
      await daemon.reaches(container, 'exited');
      assert.equal(await daemon.inspect(container, '{{.State.ExitCode}}'), '137');
      await daemon.ok('rm', container);
    },
  ],
  [
    'health checks',
    async (runtime) => {
      const flags = [
        '--health-cmd',
        'test -e /tmp/good',
        '--health-interval',
        '100ms',
        '--health-retries',
        '1',
      ];
      const container = await background(runtime, flags, 'sleep', '1000');
      const is = async (wanted: string): Promise<boolean> =>
        (await daemon.inspect(container, '{{.State.Health.Status}}')) === wanted;
      await eventually('unhealthy', async () => await is('unhealthy'));
      await text(container, 'touch', '/tmp/good');
      await eventually('healthy', async () => await is('healthy'));
      await daemon.ok('rm', '-f', container);
    },
  ],
  [
    'init, privileged, read-only, limits, ulimits, domain name, tmpfs and volumes',
    async (runtime) => {
      const one = async (flags: string[], script: string): Promise<string> =>
        await daemon.ok(...runArgs(runtime, ['--rm', ...flags], 'sh', '-c', script));
      assert.match(await one(['--init'], 'cat /proc/1/cmdline | tr "\\0" " "'), /init/);
      assert.equal(
        await one(['--privileged'], 'test -w /sys/fs && test -c /dev/loop-control -o -c /dev/kmsg; echo $?'),
        '0',
      );
      assert.equal(await one(['--read-only'], 'touch /x 2>/dev/null; echo $?'), '1');
      assert.equal(await one(['--ulimit', 'core=0:-1'], 'ulimit -Sc; ulimit -Hc'), '0\nunlimited');
      assert.equal(
        await one(['--domainname', 'example.org'], 'cat /proc/sys/kernel/domainname'),
        'example.org',
      );
      assert.equal(
        await one(
          ['--pids-limit', '7', '--cgroupns', 'private'],
          'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true',
        ),
        '7',
      );
      assert.match(await one(['--tmpfs', '/t:size=1m'], 'mount | grep " /t "'), /size=1024k/);
      const volume = `data-${runtime}`;
      await one(['-v', `${volume}:/data`], 'echo kept > /data/file');
      assert.equal(
        await one(['-v', `${volume}:/data:ro`], 'cat /data/file; touch /data/x 2>/dev/null || echo ro'),
        'kept\nro',
      );
      await daemon.ok('volume', 'rm', volume);
    },
  ],
  [
    'networks and names',
    async (runtime) => {
      await daemon.ok('network', 'create', `net-${runtime}`);
      const flags = ['--network', `net-${runtime}`];
      await background(
        runtime,
        [...flags, '--name', `web-${runtime}`],
        'sh',
        '-c',
        'echo hi > /tmp/index.html; httpd -f -h /tmp',
      );
      const page = await daemon.ok(
        ...runArgs(
          runtime,
          ['--rm', ...flags],
          'sh',
          '-c',
          `until wget -q -O - http://web-${runtime}/; do usleep 50000; done`,
        ),
      );
      assert.equal(page, 'hi');
      await daemon.ok('rm', '-f', `web-${runtime}`);
      await daemon.ok('network', 'rm', `net-${runtime}`);
    },
  ],
  [
    'restarts by policy, and by hand',
    async (runtime) => {
      const container = await background(
        runtime,
        ['--restart', 'on-failure:2'],
        'sh',
        '-c',
        'echo run; exit 1',
      );
      await eventually('three runs', async () => (await daemon.ok('logs', container)) === 'run\nrun\nrun');
      await daemon.reaches(container, 'exited');
      await daemon.ok('rm', container);
      const other = await background(runtime, [], 'sleep', '1000');
      const pid = await daemon.inspect(other, '{{.State.Pid}}');
      await daemon.ok('restart', '-t', '0', other);
      assert.notEqual(await daemon.inspect(other, '{{.State.Pid}}'), pid);
      await daemon.ok('rm', '-f', other);
    },
  ],
  [
    'the OOM killer is told of',
    async (runtime) => {
      const container = await background(
        runtime,
        ['--memory', '24m', '--memory-swap', '24m'],
        'sh',
        '-c',
        'tail -c 200m /dev/zero | tail',
      );
      await daemon.reaches(container, 'exited');
      assert.equal(await daemon.inspect(container, '{{.State.OOMKilled}}'), 'true');
      const filters = encodeURIComponent(JSON.stringify({ container: [container], event: ['oom'] }));
      const { text: events } = await daemon.api(
        'GET',
        `/events?since=0&until=${Date.now() / 1000}&filters=${filters}`,
      );
      assert.match(events, /"Action":"oom"/);
      await daemon.ok('rm', container);
    },
  ],
  [
    'it runs on without the daemon, which finds it again',
    async (runtime) => {
      const container = await background(
        runtime,
        ['-i'],
        'sh',
        '-c',
        'while :; do usleep 50000; test -e /tmp/end && exit 6; done',
      );
      const ended = await background(
        runtime,
        [],
        'sh',
        '-c',
        'until test -e /tmp/end; do usleep 50000; done; exit 8',
      );
      const root = `/proc/${await daemon.inspect(ended, '{{.State.Pid}}')}/root`;
      await daemon.stop('SIGKILL');
      writeFileSync(`${root}/tmp/end`, '');
      await eventually('it ends without a daemon', async () => !existsSync(root));
      await daemon.launch();
      await daemon.reaches(ended, 'exited');
      assert.equal(await daemon.inspect(ended, '{{.State.ExitCode}}'), '8');
      assert.equal(await daemon.inspect(container, '{{.State.Status}}'), 'running');
      const tty = await daemon.mydock(['exec', '-it', container, 'sh', '-c', 'tty; touch /tmp/end'], {
        tty: true,
      });
      assert.match(tty.stdout, /\/dev\/pts/);
      await daemon.reaches(container, 'exited');
      assert.equal(await daemon.inspect(container, '{{.State.ExitCode}}'), '6');
      await daemon.ok('rm', container, ended);
    },
  ],
  [
    'a supervisor that is killed takes the container along',
    async (runtime) => {
      const container = await background(
        runtime,
        [],
        'sh',
        '-c',
        'sleep 1000 & setsid sleep 1000 & sleep 1000',
      );
      const pid = Number(await daemon.inspect(container, '{{.State.Pid}}'));
      await eventually(
        'three of them sleep',
        async () => (await daemon.ok('top', container)).split('\n').length >= 4,
      );
      process.kill(parentOf(pid), 'SIGKILL');
      await daemon.reaches(container, 'exited');
      assert.equal(await daemon.inspect(container, '{{.State.ExitCode}}'), '137');
      await eventually('all have ended', async () => !existsSync(`/proc/${pid}`));
      await daemon.ok('start', container);
      // Without a daemon as well.
      const again = Number(await daemon.inspect(container, '{{.State.Pid}}'));
      const cgroup = pidsCgroup(again);
      const supervisor = parentOf(again);
      await daemon.stop('SIGKILL');
      process.kill(supervisor, 'SIGKILL');
      await eventually('all have ended', async () => processesIn(cgroup).length === 0);
      await daemon.launch();
      await daemon.reaches(container, 'exited');
      await daemon.ok('rm', container);
    },
  ],
];

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function pidsCgroup(pid: number): string {
  const [, path = ''] = /^\d+:(?:pids)?:(\/.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? [];
  return [`/sys/fs/cgroup/pids${path}`, `/sys/fs/cgroup${path}`].find((folder) => existsSync(folder)) ?? '';
}

function processesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readFileSync(join(folder, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

for (const runtime of [OWN_RUNTIME, 'runc', 'crun']) {
  describe(runtime, () => {
    for (const [title, check] of CASES) test(title, async () => await check(runtime));
  });
}

test('info and inspect tell of runtimes; the default is the one of the configuration', async () => {
  const info = (await daemon.api('GET', '/info')).json<{
    Runtimes: Record<string, { path: string; runtimeArgs?: string[] }>;
    DefaultRuntime: string;
  }>();
  assert.equal(info.DefaultRuntime, OWN_RUNTIME);
  assert.deepEqual(info.Runtimes['debugged'], { path: RUNC, runtimeArgs: ['--debug'] });
  assert.deepEqual(Object.keys(info.Runtimes).slice(0, 3), [OWN_RUNTIME, 'runc', 'crun']);
  const container = await background('debugged', [], 'sleep', '1000');
  assert.equal(await daemon.inspect(container, '{{.HostConfig.Runtime}}'), 'debugged');
  const pid = await daemon.inspect(container, '{{.State.Pid}}');
  assert.match(readFileSync(`/proc/${parentOf(Number(pid))}/cmdline`, 'utf8'), /^mydock-runtime\0supervise/);
  await daemon.ok('rm', '-f', container);
  const shim = await background('io.containerd.runc.v2', [], 'sleep', '1000');
  assert.equal(await daemon.inspect(shim, '{{.HostConfig.Runtime}}'), OWN_RUNTIME);
  await daemon.ok('rm', '-f', shim);
});

test('errors name the runtime, and leave nothing', async () => {
  await daemon.fails(125, /unknown or invalid runtime name: nope/, ...runArgs('nope', [], 'true'));
  await daemon.fails(
    127,
    /OCI runtime create failed: runtime: fork\/exec \/nowhere\/runtime: no such file or directory/i,
    ...runArgs('missing', ['--rm'], 'true'),
  );
  await daemon.fails(
    125,
    /create failed: silent ended with exit status 3/,
    ...runArgs('silent', ['--rm'], 'true'),
  );
  await daemon.fails(125, /create failed: talking: no such luck/, ...runArgs('talking', ['--rm'], 'true'));
  await daemon.fails(125, /create failed: lying names no process in /, ...runArgs('lying', ['--rm'], 'true'));
  assert.deepEqual(readdirSync(join(daemon.execRoot, 'containers')), []);
  const idmap = ['--runtime', 'runc', '-v', '/run/runtimes:/mnt:idmap'];
  await daemon.fails(1, /idmap of the mount at \/mnt needs the runtime/, 'create', ...idmap, 'busybox');
});

/** Restarts the daemon with another configuration file. */
async function reconfigure(content: object): Promise<void> {
  writeFileSync(config, JSON.stringify(content));
  await daemon.stop();
  await daemon.launch();
}

test('another default, runc where it is not configured, and a container whose runtime was taken out', async () => {
  await daemon.ok('create', '--name', 'forgotten', '--runtime', 'debugged', 'busybox');
  await reconfigure({ runtimes: { other: { path: RUNC } }, 'default-runtime': 'other' });
  const container = await daemon.ok('create', 'busybox', 'true');
  assert.equal(await daemon.inspect(container, '{{.HostConfig.Runtime}}'), 'other');
  await daemon.ok('start', '-a', container);
  const alias = await daemon.ok('create', '--runtime', 'runc', 'busybox', 'true');
  await daemon.ok('start', '-a', alias);
  assert.equal(await daemon.inspect(alias, '{{.HostConfig.Runtime}}'), 'runc');
  await daemon.fails(1, /unknown or invalid runtime name: debugged/, 'start', 'forgotten');
  await daemon.ok('rm', 'forgotten', container, alias);
});
