/** `network ls`: its filters and forms, as Docker has them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok('network', 'create', '--label', 'tier=front', 'net10');
  await daemon.ok('network', 'create', '--label', 'tier=back', '--internal', 'net2');
});
after(async () => {
  await daemon.removeContainers();
  await daemon.ok('network', 'rm', 'net2', 'net10');
  await close();
});

const names = async (...filters: string[]): Promise<string[]> => {
  const words = filters.flatMap((filter) => ['--filter', filter]);
  const text = await daemon.ok('network', 'ls', '--format', '{{.Name}}', ...words);
  return text === '' ? [] : text.split('\n');
};

test('the table, and IDs alone', async () => {
  const lines = (await daemon.ok('network', 'ls')).split('\n');
  assert.match(lines[0] ?? '', /^NETWORK ID {5}NAME {6}DRIVER {4}SCOPE$/);
  assert.match(lines[1] ?? '', /^[0-9a-f]{12} {3}bridge {4}bridge {4}local$/);
  assert.match(lines[5] ?? '', /^[0-9a-f]{12} {3}none {6}null {6}local$/);
  assert.match(
    await daemon.ok('network', 'ls', '-q', '--no-trunc', '--filter', 'name=net2'),
    /^[0-9a-f]{64}$/,
  );
});

test('names stand in natural order, and filters choose', async () => {
  assert.deepEqual(await names(), ['bridge', 'host', 'net2', 'net10', 'none']);
  assert.deepEqual(await names('type=custom'), ['net2', 'net10']);
  assert.deepEqual(await names('type=builtin'), ['bridge', 'host', 'none']);
  assert.deepEqual(await names('driver=null', 'driver=host'), ['host', 'none']);
  assert.deepEqual(await names('name=net1'), ['net10']);
  assert.deepEqual(await names('label=tier'), ['net2', 'net10']);
  assert.deepEqual(await names('label=tier=back'), ['net2']);
  assert.deepEqual(await names('label!=tier=back', 'type=custom'), ['net10']);
  assert.deepEqual(await names('scope=local', 'name=^none$'), ['none']);
  const id = await daemon.ok('network', 'inspect', '-f', '{{.Id}}', 'net2');
  assert.deepEqual(await names(`id=${id.slice(0, 20)}`), ['net2']);
  await daemon.fails(1, /invalid filter 'colour'/, 'network', 'ls', '--filter', 'colour=x');
  await daemon.fails(1, /invalid filter: 'type'='x'/, 'network', 'ls', '--filter', 'type=x');
});

test('dangling networks are those that no container runs on', async () => {
  await daemon.ok('run', '-d', '--name', 'user', '--network', 'net2', 'busybox', 'sleep', '1000');
  assert.deepEqual(await names('dangling=true'), ['net10']);
  assert.deepEqual(await names('dangling=false', 'type=custom'), ['net2']);
  await daemon.removeContainers();
  assert.deepEqual(await names('dangling=true'), ['net2', 'net10']);
});
