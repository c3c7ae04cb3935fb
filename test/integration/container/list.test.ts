/** `ps` and `inspect`: columns, filters, formats, sizes of IDs. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let runningId = '';
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  runningId = await daemon.ok(
    'run',
    '-d',
    '--name',
    'web',
    '--label',
    'tier=front',
    '-p',
    '127.0.0.1:18080:80',
    'busybox',
    'sleep',
    '1000',
  );
  await daemon.ok('run', '--name', 'job', '--label', 'tier=back', 'busybox', 'true');
  await daemon.mydock(['run', '--name', 'broken', 'busybox', 'sh', '-c', 'exit 3']);
  await daemon.ok(
    'create',
    '--name',
    'never',
    'busybox',
    'echo',
    'a rather long command line that does not fit',
  );
});
after(async () => await close());

const names = async (...args: string[]): Promise<string[]> =>
  (await daemon.ok('ps', '--format', '{{.Names}}', ...args)).split('\n').filter((name) => name !== '');

test('the table', async () => {
  const [head = '', row = ''] = (await daemon.ok('ps')).split('\n');
  assert.match(head, /^CONTAINER ID {3}IMAGE {5}COMMAND {8}CREATED\s+STATUS\s+PORTS\s+NAMES$/);
  assert.match(
    row,
    new RegExp(
      `^${runningId.slice(0, 12)}   busybox   "sleep 1000"   \\S.* ago\\s+Up .*\\s+127\\.0\\.0\\.1:18080->80/tcp\\s+web$`,
    ),
  );
  const all = await daemon.ok('ps', '-a');
  assert.match(all, /"echo 'a rather long…"/);
  assert.match(all, /Exited \(3\) .* ago\s+broken$/m);
  assert.match(all, /Created\s+never$/m);
});

test('-a, -q, --no-trunc, -n, -l, newest first', async () => {
  assert.deepEqual(await names(), ['web']);
  assert.deepEqual(await names('-a'), ['never', 'broken', 'job', 'web']);
  assert.deepEqual(await names('-n', '2'), ['never', 'broken']);
  assert.equal(await daemon.ok('ps', '-q'), runningId.slice(0, 12));
  assert.equal(await daemon.ok('ps', '-q', '--no-trunc'), runningId);
});

test('--filter', async () => {
  assert.deepEqual(await names('-a', '--filter', 'name=we'), ['web']);
  assert.deepEqual(await names('-a', '-f', 'status=exited'), ['broken', 'job']);
  assert.deepEqual(await names('-a', '-f', 'status=created'), ['never']);
  assert.deepEqual(await names('-a', '-f', 'label=tier'), ['job', 'web']);
  assert.deepEqual(await names('-a', '-f', 'label=tier=back'), ['job']);
  assert.deepEqual(await names('-a', '-f', 'exited=3'), ['broken']);
  assert.deepEqual(await names('-a', '-f', `id=${runningId.slice(0, 10)}`), ['web']);
  assert.deepEqual(await names('-a', '-f', 'ancestor=busybox', '-f', 'status=running'), ['web']);
  assert.deepEqual(await names('-a', '-f', 'before=job'), ['web']);
  assert.deepEqual(await names('-a', '-f', 'since=broken'), ['never']);
  await daemon.fails(1, /invalid filter '?nonsense'?/i, 'ps', '-f', 'nonsense=1');
});

test('--format takes templates and json', async () => {
  assert.equal(
    await daemon.ok('ps', '--format', '{{.Names}}: {{.Image}} {{.State}} {{.Label "tier"}}'),
    'web: busybox running front',
  );
  const row = JSON.parse(await daemon.ok('ps', '--format', 'json')) as Record<string, string>;
  assert.equal(row['Names'], 'web');
  assert.equal(row['ID'], runningId.slice(0, 12));
  assert.equal(row['Ports'], '127.0.0.1:18080->80/tcp');
  const table = await daemon.ok('ps', '--format', 'table {{.ID}}\t{{.Names}}');
  assert.equal(table, `CONTAINER ID   NAMES\n${runningId.slice(0, 12)}   web`);
});

test('inspect answers as an array, by name, ID and prefix', async () => {
  for (const name of ['web', runningId, runningId.slice(0, 8)]) {
    const [object] = JSON.parse(await daemon.ok('inspect', name)) as { Id: string; Name: string }[];
    assert.deepEqual([object?.Id, object?.Name], [runningId, '/web']);
  }
});

test("inspect's template functions", async () => {
  assert.equal(
    await daemon.inspect('web', '{{.Config.Image}}|{{json .State.Running}}|{{len .Config.Cmd}}'),
    'busybox|true|2',
  );
  assert.equal(await daemon.inspect('web', '{{range .Config.Cmd}}[{{.}}]{{end}}'), '[sleep][1000]');
  assert.equal(
    await daemon.inspect('web', '{{index .Config.Labels "tier"}} {{join .Config.Cmd ","}} {{upper "x"}}'),
    'front sleep,1000 X',
  );
  assert.equal(await daemon.inspect('web', '{{if eq .State.Status "running"}}yes{{else}}no{{end}}'), 'yes');
  assert.equal(
    await daemon.inspect('web', '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'),
    '18080',
  );
});

test('inspect of several, one of them missing', async () => {
  const result = await daemon.mydock(['inspect', 'web', 'nobody']);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /No such object: nobody/);
  assert.equal((JSON.parse(result.stdout) as unknown[]).length, 1);
});

test('inspect has what tools read', async () => {
  const [object] = JSON.parse(await daemon.ok('inspect', 'web')) as Record<string, Record<string, unknown>>[];
  assert.equal(typeof object?.['State']?.['Pid'], 'number');
  assert.match(String(object?.['State']?.['StartedAt']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(object?.['HostConfig']?.['PortBindings'], {
    '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '18080' }],
  });
  assert.match(String(object?.['Image']), /^sha256:[0-9a-f]{64}$/);
});

test('a name that means another image by now, or none, is not shown', async () => {
  await daemon.ok('tag', 'busybox', 'moving:1');
  const id = await daemon.ok('create', '--name', 'mover', 'moving:1', 'true');
  const shown = async (): Promise<string> =>
    await daemon.ok('ps', '-a', '-f', 'name=^mover$', '--format', '{{.Image}}');
  assert.equal(await shown(), 'moving:1');
  assert.deepEqual(await names('-a', '-f', 'name=mover', '-f', 'ancestor=moving:1'), ['mover']);
  const imageId = await daemon.inspect(id, '{{.Image}}');
  const changed = await daemon.ok('run', '-d', 'busybox', 'touch', '/changed');
  await daemon.ok('wait', changed);
  await daemon.ok('commit', changed, 'moving:1');
  assert.equal(await shown(), imageId.slice('sha256:'.length, 'sha256:'.length + 12));
  assert.deepEqual(await names('-a', '-f', 'name=mover', '-f', 'ancestor=moving:1'), []);
  assert.deepEqual(await names('-a', '-f', 'name=mover', '-f', `ancestor=${imageId}`), ['mover']);
  assert.deepEqual(await names('-a', '-f', 'ancestor=Not-A-Name'), []);
  await daemon.ok('rm', 'mover', changed);
  await daemon.ok('rmi', 'moving:1');
});
