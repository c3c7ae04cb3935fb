/** Log drivers: what each keeps and sends, `logs` for all of them, and an emptied log. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

test('local: rotated, compressed, read back whole', async () => {
  const options = ['--log-driver', 'local', '--log-opt', 'max-size=40k', '--log-opt', 'max-file=9'];
  const script = 'seq 1 1000; sleep 1; seq 1001 2000; sleep 1; seq 2001 2400';
  await daemon.ok('run', '--name', 'local', ...options, 'busybox', 'sh', '-c', script);
  const id = await daemon.inspect('local', '{{.Id}}');
  const files = readdirSync(join(daemon.dataRoot, 'containers', id, 'local-logs'));
  assert.ok(
    files.some((name) => name.endsWith('.gz')),
    files.join(' '),
  );
  const all = Array.from({ length: 2400 }, (_, index) => String(index + 1));
  assert.deepEqual((await daemon.ok('logs', 'local')).split('\n'), all);
  assert.deepEqual((await daemon.ok('logs', '--tail', '1500', 'local')).split('\n'), all.slice(-1500));
  assert.equal(await daemon.inspect('local', '{{.LogPath}}'), '');
  await daemon.ok('rm', 'local');
});

test('syslog: sent to the server, and readable here', async () => {
  const socket = createSocket('udp4');
  const got: string[] = [];
  socket.on('message', (message) => got.push(message.toString()));
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  try {
    const address = `syslog-address=udp://127.0.0.1:${socket.address().port}`;
    const options = [
      '--log-opt',
      address,
      '--log-opt',
      'tag={{.Name}}',
      '--log-opt',
      'syslog-format=rfc5424',
    ];
    await daemon.ok(
      'run',
      '--name',
      'sent',
      '--log-driver',
      'syslog',
      ...options,
      'busybox',
      'echo',
      'hello',
    );
    await eventually('the line arrives', () => got.length === 1);
    assert.match(got[0] ?? '', /^<30>1 \S+Z \S+ sent \d+ sent - hello\n$/);
    assert.equal(await daemon.ok('logs', 'sent'), 'hello');
    await daemon.ok('rm', 'sent');
  } finally {
    socket.close();
  }
});

test('none keeps nothing, and unknown drivers and options are refused', async () => {
  await daemon.ok('run', '--name', 'silent', '--log-driver', 'none', 'busybox', 'echo', 'x');
  await daemon.fails(1, /configured logging driver does not support reading/, 'logs', 'silent');
  await daemon.ok('rm', 'silent');
  const refused = (message: RegExp, ...flags: string[]): Promise<void> =>
    daemon.fails(1, message, 'create', ...flags, 'busybox', 'true');
  await refused(/unknown log opt 'foo' for json-file log driver/, '--log-opt', 'foo=bar');
  await refused(/journald is not enabled on this host/, '--log-driver', 'journald');
  await refused(/log driver "gelf" is not implemented/, '--log-driver', 'gelf');
});

test('labels, variables and tag stand in every line of json-file', async () => {
  const options = ['labels=a', 'env-regex=^V', 'tag={{.Name}}'].flatMap((option) => ['--log-opt', option]);
  const given = ['--label', 'a=1', '--label', 'b=2', '-e', 'VAR=x'];
  await daemon.ok('run', '--name', 'told', ...options, ...given, 'busybox', 'echo', 'x');
  const { text } = await daemon.api('GET', '/containers/told/logs?stdout=1&details=1');
  assert.match(text, /VAR=x,a=1,tag=told x\n$/);
  const path = await daemon.inspect('told', '{{.LogPath}}');
  const { attrs } = JSON.parse(readFileSync(path, 'utf8')) as { attrs: object };
  assert.deepEqual(attrs, { a: '1', VAR: 'x', tag: 'told' });
  await daemon.ok('rm', 'told');
});

test('a log is emptied under a running container and its followers', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'cleared',
    'busybox',
    'sh',
    '-c',
    'echo old; while sleep 0.1; do echo new; done',
  );
  const follower = daemon.live(['logs', '-f', 'cleared']);
  await follower.sees(/old\n(new\n)+/);
  const { status } = await daemon.api('DELETE', '/containers/cleared/logs');
  assert.equal(status, 204);
  const before = follower.stdout.length;
  await eventually('the follower goes on', () => follower.stdout.length > before + 8);
  assert.doesNotMatch(await daemon.ok('logs', 'cleared'), /old/);
  assert.equal(follower.stdout.match(/old/g)?.length, 1);
  await daemon.ok('rm', '-f', 'cleared');
  await follower.ended;
});
