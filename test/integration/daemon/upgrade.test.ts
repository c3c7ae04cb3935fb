/** A daemon that is replaced by another one while it works: nobody who uses it has to know. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';

import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { daemonCommand, TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** One `GET /_ping` on a connection of its own, or the error. */
function ping(): Promise<string> {
  return new Promise((resolve) => {
    const call = request({ socketPath: daemon.socket, path: '/_ping', agent: new Agent() }, (answer) => {
      answer.resume().on('end', () => resolve(String(answer.statusCode)));
    });
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}

/** Asks every 5 ms until it is told to stop, without waiting for answers; gives the slowest one and what failed. */
function pings(): { stop(): Promise<{ slowestMs: number; failed: string[] }> } {
  const answers: Promise<void>[] = [];
  const failed: string[] = [];
  let slowestMs = 0;
  const timer = setInterval(() => {
    const began = performance.now();
    answers.push(
      ping().then((status) => {
        slowestMs = Math.max(slowestMs, performance.now() - began);
        if (status !== '200') failed.push(status);
      }),
    );
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(answers);
      return { slowestMs, failed };
    },
  };
}

/** Sockets that a process has. */
function connections(pid = 0): number {
  const found = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      // Closed meanwhile.
      return '';
    }
  });
  return found.filter((link) => link.startsWith('socket:')).length;
}

test('no client is refused, and none waits long', { skip }, async (context) => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18081:80', 'busybox', 'httpd', '-f', '-h', '/var/www');
  const identity = '{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}}';
  const web = await daemon.inspect('web', identity);
  const before = daemon.pid;
  const asked = pings();
  await daemon.takeOver();
  const { slowestMs, failed } = await asked.stop();
  context.diagnostic(`slowest answer: ${slowestMs.toFixed(0)} ms`);
  assert.deepEqual(failed, []);
  assert.notEqual(daemon.pid, before);
  assert.equal(readFileSync(join(daemon.execRoot, 'mydockd.pid'), 'utf8').trim(), String(daemon.pid));
  assert.equal(await daemon.inspect('web', identity), web);
  assert.equal(await (await fetch('http://127.0.0.1:18081/')).text(), 'served by mydock\n');
  assert.equal(await daemon.ok('exec', 'web', 'echo', 'still here'), 'still here');
  await daemon.ok('rm', '-f', 'web');
  await assert.rejects(fetch('http://127.0.0.1:18081/'));
});

test('a container in the foreground keeps its terminal, its input and its exit code', { skip }, async () => {
  const live = daemon.live([
    'run',
    '-i',
    '--rm',
    '--name',
    'front',
    'busybox',
    'sh',
    '-c',
    'read a; echo "got $a"; exit 7',
  ]);
  await eventually('it runs', async () => (await daemon.ok('ps', '-q', '-f', 'name=front')) !== '');
  // What was handed over once is handed over again.
  await daemon.takeOver();
  await daemon.takeOver();
  live.type('words\n');
  const { code, stdout, stderr } = await live.ended;
  assert.deepEqual([code, stdout, stderr], [7, 'got words\n', '']);
  await eventually('it is removed', async () => (await daemon.mydock(['inspect', 'front'])).code !== 0);
});

test('what ends while the data root changes hands has its exit code told', { skip }, async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'ender',
    'busybox',
    'sh',
    '-c',
    'until test -e /go; do usleep 20000; done; exit 9',
  );
  const waits = [
    ['wait', 'ender'],
    ['wait', 'ender'],
  ].map((words) => daemon.live(words));
  for (const wait of waits) await eventually('it waits', () => connections(wait.child.pid) > 0);
  await daemon.ok('run', '-d', '--name', 'holder', 'busybox', 'sleep', '1000');
  // One after the other, so that some of them end while no daemon listens to the supervisor.
  const loop = 'echo begun; until test -e /go; do usleep 20000; done; usleep $1; exit 6';
  const commands = [1000, 50_000, 100_000, 200_000, 400_000].map((us) =>
    daemon.live(['exec', 'holder', 'sh', '-c', loop, 'sh', String(us)]),
  );
  for (const command of commands) await command.sees(/begun/);
  const pid = await daemon.inspect('ender', '{{.State.Pid}}');
  const holder = await daemon.inspect('holder', '{{.State.Pid}}');
  const takeovers = (): number => daemon.log.split('another mydockd takes over').length;
  const before = takeovers();
  const taken = daemon.takeOver();
  await eventually('it is taken over', () => takeovers() > before);
  writeFileSync(`/proc/${pid}/root/go`, '');
  writeFileSync(`/proc/${holder}/root/go`, '');
  await taken;
  for (const command of commands) assert.equal((await command.ended).code, 6);
  for (const wait of waits)
    assert.deepEqual(await wait.ended.then(({ code, stdout }) => [code, stdout]), [0, '9\n']);
  await daemon.ok('rm', '-f', 'ender', 'holder');
});

test('carried connections, names and scoped sockets go on', { skip }, async () => {
  await daemon.ok('network', 'create', 'inner');
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'echo',
    '--network',
    'inner',
    '-p',
    '[::1]:18082:7',
    'busybox',
    'nc',
    '-ll',
    '-p',
    '7',
    '-e',
    'cat',
  );
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'asker',
    '--network',
    'inner',
    'busybox',
    'sh',
    '-c',
    'while :; do nslookup echo >/dev/null || echo lost; usleep 20000; done',
  );
  const scoped = join(daemon.execRoot, 'scoped.sock');
  await daemon.ok('socket', 'create', '--name', 'reader', '--read-only', scoped);
  const talk = connect(18082, '::1').setEncoding('utf8');
  let heard = '';
  talk.on('data', (text: string) => {
    heard += text;
  });
  talk.write('before\n');
  await eventually('an echo', () => heard === 'before\n');
  const first = daemon.pid;
  await daemon.takeOverWhile(async () => {
    talk.write('after\n');
    await eventually('another echo', () => heard === 'before\nafter\n');
    assert.equal((await run(['kill', '-0', String(first)])).code, 0, 'the first daemon carries it');
    talk.end();
  });
  const version = await daemon.mydock([
    '-H',
    `unix://${scoped}`,
    'version',
    '--format',
    '{{.Server.Version}}',
  ]);
  assert.equal(version.code, 0, version.stderr);
  assert.equal(await daemon.ok('logs', 'asker'), '');
  await daemon.ok('socket', 'rm', 'reader');
  await daemon.removeContainers();
  await daemon.ok('network', 'rm', 'inner');
});

test('requests under way are answered, streams go on', { skip }, async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'slow',
    'busybox',
    'sh',
    '-c',
    'trap "sleep 1; exit 5" TERM; while :; do sleep 1000 & wait; done',
  );
  const events = daemon.live(['events', '--since', '1', '--format', '{{.Action}}']);
  const logs = daemon.live(['logs', '-f', 'slow']);
  await events.sees(/start/);
  const stop = daemon.live(['stop', '-t', '30', 'slow']);
  await eventually('the signal is sent', () => events.stdout.includes('kill'));
  await daemon.takeOver();
  assert.equal((await stop.ended).code, 0, stop.stderr);
  assert.equal(await daemon.inspect('slow', '{{.State.ExitCode}}'), '5');
  await events.sees(/die/);
  events.child.kill();
  await logs.ended;
  await daemon.ok('rm', 'slow');
});

test('a successor that cannot start leaves everything to the one that runs', { skip }, async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'kept',
    '-p',
    '18083:80',
    'busybox',
    'httpd',
    '-f',
    '-h',
    '/var/www',
  );
  const first = daemon.pid;
  const file = join(daemon.folder, 'daemon.json');
  writeFileSync(file, '{"no-such-key": 1}');
  await assert.rejects(daemon.takeOver(['--config-file', file]), /no-such-key/);
  // Known only when the data root is opened, which the first one has given up by then.
  const asked = pings();
  await assert.rejects(daemon.takeOver(['--storage-driver', 'nonsense']), /nonsense/);
  assert.deepEqual((await asked.stop()).failed, []);
  assert.equal(daemon.pid, first);
  assert.equal(await daemon.ok('exec', 'kept', 'echo', 'here'), 'here');
  assert.equal(await (await fetch('http://127.0.0.1:18083/')).text(), 'served by mydock\n');
  await daemon.takeOver();
  await daemon.ok('rm', '-f', 'kept');
});

test('`mydock daemon start --takeover` puts a new one in the background', { skip }, async () => {
  const first = daemon.pid;
  const args = [
    ...['--exec-root', daemon.execRoot, '--data-root', daemon.dataRoot],
    ...['--host', `unix://${daemon.socket}`, '--group', 'root'],
  ];
  await daemon.fails(
    1,
    /did not take over.*goes on.*no-such-flag/s,
    'daemon',
    'start',
    '--takeover',
    '--no-such-flag',
    ...args,
  );
  const said = await daemon.ok('daemon', 'start', '--takeover', ...args);
  const pid = Number(/pid (\d+)/.exec(said)?.[1]);
  assert.notEqual(pid, first);
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
  await daemon.takeOver();
  await eventually('it has ended', async () => (await run(['kill', '-0', String(pid)])).code !== 0);
});

test('nobody but root is given anything, and nothing where no daemon runs', { skip }, async () => {
  const { mode, uid } = statSync(join(daemon.execRoot, 'takeover.sock'));
  assert.deepEqual([(mode & 0o777).toString(8), uid], ['600', 0]);
  const place = { dataRoot: join(daemon.folder, 'other'), execRoot: '/run/other', socket: '/run/other.sock' };
  const nobody = await run([...daemonCommand(place, []), '--takeover']);
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr + nobody.stdout, /no mydockd runs that could be taken over/);
  const checked = await run([...daemonCommand(daemon, []), '--validate']);
  assert.deepEqual([checked.code, checked.stdout], [0, 'configuration OK\n']);
});
