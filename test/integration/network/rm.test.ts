/** `network rm` and `network prune`. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());
afterEach(async () => {
  await daemon.removeContainers();
  await daemon.ok('network', 'prune', '-f');
});

const custom = async (): Promise<string> =>
  await daemon.ok('network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}');
const sleeper = async (name: string, ...flags: string[]): Promise<string> =>
  await daemon.ok('run', '-d', '--name', name, '--stop-signal', 'KILL', ...flags, 'busybox', 'sleep', '1000');

test('rm takes the network’s interface away, and prints the name', async () => {
  const before = readdirSync('/sys/class/net');
  await daemon.ok('network', 'create', 'one');
  assert.equal(readdirSync('/sys/class/net').length, before.length + 1);
  assert.equal(await daemon.ok('network', 'rm', 'one'), 'one');
  assert.deepEqual(readdirSync('/sys/class/net').toSorted(), before.toSorted());
});

test('rm refuses networks in use, predefined ones and missing ones, and goes on', async () => {
  await daemon.ok('network', 'create', 'used');
  await daemon.ok('network', 'create', 'free');
  await sleeper('user', '--network', 'used');
  const result = await daemon.mydock(['network', 'rm', 'used', 'bridge', 'nobody', 'free']);
  assert.deepEqual([result.code, result.stdout], [1, 'free\n']);
  const lines = result.stderr.trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^Error response from daemon: .*network used has active endpoints/);
  assert.match(lines[0] ?? '', /user/);
  assert.match(lines[1] ?? '', /bridge is a pre-defined network and cannot be removed/);
  assert.equal(lines[2], 'Error response from daemon: network nobody not found');
  assert.equal((await daemon.api('DELETE', '/networks/used')).status, 403);
  assert.equal((await daemon.api('DELETE', '/networks/bridge')).status, 403);
  const forced = await daemon.mydock(['network', 'rm', '-f', 'nobody']);
  assert.deepEqual([forced.code, forced.stdout, forced.stderr], [0, '', '']);
});

test('prune takes what no running container is on, by its filters', async () => {
  for (const [name, label] of [
    ['used', 'a=1'],
    ['idle', 'a=1'],
    ['kept', 'keep=1'],
  ] as const) {
    await daemon.ok('network', 'create', '--label', label, name);
  }
  await sleeper('user', '--network', 'used');
  await daemon.ok('create', '--name', 'sleeping', '--network', 'idle', 'busybox', 'true');
  assert.equal(await daemon.ok('network', 'prune', '-f', '--filter', 'until=1h'), '');
  assert.equal(
    await daemon.ok('network', 'prune', '-f', '--filter', 'label!=keep'),
    'Deleted Networks:\nidle\n',
  );
  assert.equal(await custom(), 'kept\nused');
  const answer = await daemon.api('POST', '/networks/prune?filters={"label":["a"]}');
  assert.deepEqual(answer.json(), { NetworksDeleted: null });
  await daemon.fails(125, /network idle not found/, 'run', '--rm', '--network', 'idle', 'busybox', 'true');
});

test('events tell of networks and of who comes and goes', async () => {
  const since = Date.now() / 1000;
  const id = await daemon.ok('network', 'create', 'watched');
  const container = await sleeper('user', '--network', 'watched');
  await daemon.ok('rm', '-f', 'user');
  await daemon.ok('network', 'rm', 'watched');
  await daemon.ok('network', 'prune', '-f');
  const format = '{{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}';
  const words = [
    '--since',
    String(since),
    '--until',
    String(Date.now() / 1000 + 0.1),
    '--filter',
    'type=network',
  ];
  const lines = (await daemon.ok('events', ...words, '--format', format)).split('\n');
  const described = { name: 'watched', type: 'bridge' };
  const expected = [
    ['create', id, described],
    ['connect', id, { container, ...described }],
    ['disconnect', id, { container, ...described }],
    ['destroy', id, described],
  ] as const;
  for (const [index, [action, actor, attributes]] of expected.entries()) {
    const [, found, by, json = '{}'] = /^(\S+) (\S+) (.*)$/.exec(lines[index] ?? '') ?? [];
    assert.deepEqual([found, by, JSON.parse(json)], [action, actor, attributes], lines[index]);
  }
  assert.equal(lines[4], 'prune  {"reclaimed":"0"}');
});
