/** A daemon that is killed, and comes back: containers, logs, exit codes, attachments, ports and policies go on. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  // Docker keeps containers only where it is told to.
  ({ daemon, close } = await daemonWithBusybox(TESTING_DOCKER ? ['--live-restore'] : []));
});
after(async () => await close());

async function crash(): Promise<void> {
  await daemon.stop('SIGKILL');
}

/** Waits without the daemon until the process is gone. */
async function processEnds(pid: string): Promise<void> {
  await eventually(`process ${pid} ends`, () => {
    try {
      return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return true;
    }
  });
}

/** A shell's words that wait until `signal` is called with the container's process. */
const UNTIL_SIGNAL = 'until test -e /tmp/signal; do usleep 20000; done';

/** Goes by the process: no daemon needs to run. */
function signal(pid: string): void {
  writeFileSync(`/proc/${pid}/root/tmp/signal`, '');
}

test('a running container runs on, is reachable, and can be driven afterwards', async () => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18080:80', 'busybox', 'httpd', '-f', '-h', '/var/www');
  const pid = await daemon.inspect(
    'web',
    '{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}}',
  );
  await crash();
  const page = async (): Promise<string> => await (await fetch('http://127.0.0.1:18080/')).text();
  const served = async (when: string): Promise<void> => {
    const right = async (): Promise<boolean> => (await page().catch(() => '')) === 'served by mydock\n';
    await eventually(`the page is served ${when}`, right);
  };
  await served('while no daemon runs');
  await daemon.launch();
  assert.equal(
    await daemon.inspect('web', '{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}}'),
    pid,
  );
  await served('with the next daemon');
  assert.equal(await daemon.ok('exec', 'web', 'echo', 'still here'), 'still here');
  await daemon.ok('stop', '-t', '0', 'web');
  assert.equal(await daemon.inspect('web', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 137');
  await daemon.ok('start', 'web');
  await served('after a new start');
  await daemon.ok('rm', '-f', 'web');
  await assert.rejects(page());
});

test('what is written while no daemon runs is in the log, every line once', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'writer',
    'busybox',
    'sh',
    '-c',
    `${UNTIL_SIGNAL}; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.01; done`,
  );
  const pid = await daemon.inspect('writer', '{{.State.Pid}}');
  signal(pid);
  await crash();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await daemon.launch();
  await crash();
  await processEnds(pid);
  await daemon.launch();
  assert.equal(await daemon.ok('wait', 'writer'), '0');
  const expected = Array.from({ length: 400 }, (_, i) => `line ${i + 1}`).join('\n');
  assert.equal(await daemon.ok('logs', 'writer'), expected);
  await daemon.ok('rm', 'writer');
});

test('the exit code of what ended while no daemon ran', async () => {
  const script = `${UNTIL_SIGNAL}; echo last words; exit 23`;
  await daemon.ok('run', '-d', '--name', 'ender', 'busybox', 'sh', '-c', script);
  const pid = await daemon.inspect('ender', '{{.State.Pid}}');
  await crash();
  signal(pid);
  await processEnds(pid);
  await daemon.launch();
  await daemon.reaches('ender', 'exited');
  assert.equal(await daemon.inspect('ender', '{{.State.ExitCode}}'), '23');
  assert.equal(await daemon.ok('logs', 'ender'), 'last words');
  await daemon.ok('rm', 'ender');
});

test('--rm and --restart are done for what ended meanwhile', async () => {
  await daemon.ok('run', '-d', '--rm', '--name', 'leaver', 'busybox', 'sh', '-c', UNTIL_SIGNAL);
  await daemon.ok(
    'run',
    '-d',
    '--restart',
    'always',
    '--name',
    'phoenix',
    'busybox',
    'sh',
    '-c',
    `echo up; ${UNTIL_SIGNAL}; rm /tmp/signal`,
  );
  const pids = [
    await daemon.inspect('leaver', '{{.State.Pid}}'),
    await daemon.inspect('phoenix', '{{.State.Pid}}'),
  ];
  await crash();
  for (const pid of pids) signal(pid);
  for (const pid of pids) await processEnds(pid);
  await daemon.launch();
  await eventually(
    'the --rm container is gone',
    async () => (await daemon.ok('ps', '-aq', '-f', 'name=leaver')) === '',
  );
  await eventually(
    'the other one is up again',
    async () => (await daemon.ok('logs', 'phoenix')).split('\n').length >= 2,
  );
  await daemon.ok('rm', '-f', 'phoenix');
});

test('a terminal can be attached again', async () => {
  await daemon.ok('run', '-dit', '--name', 'shell', 'busybox');
  await crash();
  await daemon.launch();
  const live = daemon.live(['attach', 'shell'], { tty: true });
  live.type('echo al""ive; exit 6\n');
  await live.sees(/alive/);
  assert.equal((await live.ended).code, 6);
  await daemon.ok('rm', 'shell');
});

test('an orderly stop keeps containers as well', {
  skip: TESTING_DOCKER && 'only with live-restore',
}, async () => {
  await daemon.ok('run', '-d', '--name', 'kept', 'busybox', 'sleep', '1000');
  const pid = await daemon.inspect('kept', '{{.State.Pid}}');
  await daemon.stop('SIGTERM');
  assert.equal((await run(['kill', '-0', pid])).code, 0);
  await daemon.launch();
  assert.equal(await daemon.inspect('kept', '{{.State.Status}} {{.State.Pid}}'), `running ${pid}`);
  await daemon.ok('rm', '-f', 'kept');
});

test('killed in the middle of many starts, nothing half-made is left', async () => {
  const starts = Array.from({ length: 10 }, (_, i) =>
    daemon.mydock(['run', '-d', '--name', `burst-${i}`, 'busybox', 'sleep', '1000']),
  );
  await new Promise((resolve) => setTimeout(resolve, 250));
  await crash();
  await Promise.all(starts);
  await daemon.launch();
  for (const line of (await daemon.ok('ps', '-a', '--format', '{{.Names}} {{.State}}'))
    .split('\n')
    .filter((text) => text !== '')) {
    const [name = '', state = ''] = line.split(' ');
    assert.match(state, /^(running|created|exited)$/, line);
    if (state === 'running') assert.equal(await daemon.ok('exec', name, 'echo', 'ok'), 'ok');
    else assert.equal((await daemon.mydock(['start', name])).code, 0, `${line} starts`);
  }
  await daemon.removeContainers();
});
