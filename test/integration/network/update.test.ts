/** Published ports of containers that exist: added and withdrawn while they run, and kept by the next run. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ContainerInspectResponse } from '../../../src/api/containers.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const HTTPD = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/var/www'];

async function answers(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) });
    return (await response.text()) === 'served by mydock\n';
  } catch {
    return false;
  }
}

async function inspected(name: string): Promise<ContainerInspectResponse> {
  return (await daemon.api('GET', `/containers/${name}/json`)).json<ContainerInspectResponse>();
}

test('ports of a running container come and go, its others stay', async () => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18180:80', ...HTTPD);
  const pid = await daemon.inspect('web', '{{.State.Pid}}');
  await eventually('it answers', async () => await answers(18180));
  const since = String(Date.now() / 1000);

  await daemon.ok('update', '--publish-add', '127.0.0.1:18181:80', 'web');
  await eventually('the new port answers', async () => await answers(18181));
  assert.ok(await answers(18180));
  await daemon.ok('update', '--publish-add', '18182:80', '--publish-rm', '18180', 'web');
  await eventually('the moved port answers', async () => await answers(18182));
  assert.equal(await answers(18180), false);
  assert.ok(await answers(18181));
  assert.equal(await daemon.inspect('web', '{{.State.Pid}}'), pid, 'it ran on');

  const { NetworkSettings, HostConfig, OpenPorts } = await inspected('web');
  assert.deepEqual(
    new Set(NetworkSettings.Ports['80/tcp']?.map(({ HostIp, HostPort }) => `${HostIp} ${HostPort}`)),
    new Set(['127.0.0.1 18181', '0.0.0.0 18182', ':: 18182']),
  );
  assert.deepEqual(HostConfig.PortBindings, {
    '80/tcp': [
      { HostIp: '127.0.0.1', HostPort: '18181' },
      { HostIp: '', HostPort: '18182' },
    ],
  });
  assert.deepEqual(
    OpenPorts?.map(({ HostIp, HostPort }) => `${HostIp} ${HostPort}`).sort(),
    ['0.0.0.0 18182', ':: 18182'],
    'the loopback is for this host alone',
  );
  const events = await daemon.ok(
    ...[
      'events',
      '--since',
      since,
      '--until',
      String(Date.now() / 1000),
      '--filter',
      'event=update',
      '--format',
      '{{.Action}}',
    ],
  );
  assert.equal(events, 'update\nupdate');
});

test('the next run has what was changed', async () => {
  await daemon.ok('restart', '-t', '0', 'web');
  await eventually('it answers', async () => await answers(18182));
  assert.ok(await answers(18181));
  assert.equal(await answers(18180), false);
});

test('all or nothing', async () => {
  await daemon.ok('run', '-d', '--name', 'other', '-p', '18190:80', ...HTTPD);
  const before = await inspected('web');
  await daemon.fails(
    1,
    /port is already allocated|address already in use/,
    ...['update', '--publish-add', '18191:80', '--publish-add', '18190:80', '--publish-rm', '18182', 'web'],
  );
  const now = await inspected('web');
  assert.deepEqual(now.NetworkSettings.Ports, before.NetworkSettings.Ports);
  assert.deepEqual(now.HostConfig.PortBindings, before.HostConfig.PortBindings);
  assert.ok(await answers(18182), 'what was to go still answers');
  assert.equal(await answers(18191), false);
});

test('wrong requests are refused by name', async () => {
  const refused = async (message: RegExp, ...args: string[]) =>
    await daemon.fails(1, message, 'update', ...args);
  await refused(/port 1\/tcp is not published/, '--publish-rm', '1', 'web');
  await refused(/port 18182\/udp is not published/, '--publish-rm', '18182/udp', 'web');
  await daemon.ok('create', '--name', 'hosted', '--network', 'host', 'busybox', 'true');
  await refused(
    /conflicting options: port publishing and the network mode "host"/,
    '--publish-add',
    '1:1',
    'hosted',
  );
  const wrong = await daemon.api('POST', '/containers/web/update', { PublishAdd: ['x:80'] });
  assert.equal(wrong.status, 400, wrong.text);
  assert.match(wrong.text, /invalid hostPort: x/);
});

test('a stopped container has its ports from the next start', async () => {
  await daemon.ok('create', '--name', 'late', '-p', '18185:80', ...HTTPD);
  await daemon.ok('update', '--publish-add', '18186:80', '--publish-rm', '18185', 'late');
  await daemon.ok('start', 'late');
  await eventually('it answers', async () => await answers(18186));
  assert.equal(await answers(18185), false);
});
