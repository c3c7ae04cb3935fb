/** Several networks a container: at create, connected and disconnected while it runs and while it does not. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import type { ContainerInspectResponse, ContainerSummary } from '../../../src/api/containers.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox(['--bip', '10.87.0.1/24']));
  await daemon.ok(
    'network',
    'create',
    '--subnet',
    '10.88.1.0/24',
    '--subnet',
    'fd00:88:1::/64',
    '--ipv6',
    'front',
  );
  await daemon.ok('network', 'create', '--subnet', '10.88.2.0/24', 'back');
});
after(async () => {
  await daemon.removeContainers();
  await daemon.ok('network', 'rm', 'front', 'back');
  await close();
});

const SLEEP = ['busybox', 'sleep', '1000'];

async function networks(container: string) {
  const answer = await daemon.api('GET', `/containers/${container}/json`);
  return answer.json<ContainerInspectResponse>().NetworkSettings.Networks;
}

async function inside(container: string, line: string): Promise<string> {
  return await daemon.ok('exec', container, 'sh', '-c', line);
}

test('a running container gets another network at once, and loses it', async () => {
  await daemon.ok('run', '-d', '--name', 'mover', '-h', 'box', ...SLEEP);
  await inside('mover', 'echo "1.2.3.4 friend" >> /etc/hosts');
  const inode = await inside('mover', 'stat -c %i /etc/hosts');
  await daemon.ok('network', 'connect', '--ip', '10.88.1.50', '--alias', 'nick', 'front', 'mover');

  assert.match(await inside('mover', 'ip -4 -o addr show dev eth1'), /inet 10\.88\.1\.50\/24/);
  const hosts = await inside('mover', 'cat /etc/hosts');
  assert.match(hosts, /^10\.87\.0\.\d+\tbox$/m);
  assert.match(hosts, /^10\.88\.1\.50\tbox$/m);
  assert.match(hosts, /^fd00:88:1::[0-9a-f]+\tbox$/m);
  assert.match(hosts, /^1\.2\.3\.4 friend$/m, 'what was edited stays');
  assert.equal(await inside('mover', 'stat -c %i /etc/hosts'), inode, 'programs see the same file');
  assert.match(await inside('mover', 'cat /etc/resolv.conf'), /^nameserver 127\.0\.0\.11$/m);

  const { bridge, front } = await networks('mover');
  assert.equal(front?.IPAddress, '10.88.1.50');
  assert.equal(front?.IPPrefixLen, 24);
  assert.match(front?.GlobalIPv6Address ?? '', /^fd00:88:1::/);
  assert.deepEqual(front?.IPAMConfig, { IPv4Address: '10.88.1.50' });
  assert.deepEqual(front?.Aliases, ['nick']);
  assert.deepEqual(front?.DNSNames?.slice(0, 2), ['mover', 'nick']);
  assert.match(front?.MacAddress ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  assert.equal(bridge?.DNSNames, null);
  assert.equal(await daemon.inspect('mover', '{{.NetworkSettings.IPAddress}}'), bridge?.IPAddress);

  await daemon.fails(1, /already exists in network front/, 'network', 'connect', 'front', 'mover');
  await daemon.ok('network', 'disconnect', 'bridge', 'mover');
  assert.deepEqual(Object.keys(await networks('mover')), ['front']);
  assert.equal(await inside('mover', 'ls /sys/class/net'), 'eth1\nlo');
  assert.match(await inside('mover', 'ip route'), /default via 10\.88\.1\.1 dev eth1/);
  const left = await inside('mover', 'cat /etc/hosts');
  assert.doesNotMatch(left, /10\.87\.0\./);
  assert.match(left, /^1\.2\.3\.4 friend$/m);

  await daemon.ok('network', 'disconnect', 'front', 'mover');
  assert.equal(await inside('mover', 'ls /sys/class/net'), 'lo');
  await daemon.fails(1, /is not connected to network front/, 'network', 'disconnect', 'front', 'mover');
  await daemon.ok('restart', '-t', '0', 'mover');
  assert.equal(await inside('mover', 'ls /sys/class/net'), 'lo', 'without networks until it is connected');
});

test('events tell of it', async () => {
  const since = String(Date.now() / 1000);
  const id = await daemon.ok('run', '-d', '--name', 'told', '--network', 'back', ...SLEEP);
  await daemon.ok('network', 'connect', 'front', 'told');
  await daemon.ok('network', 'disconnect', 'back', 'told');
  await daemon.ok('rm', '-f', 'told');
  const format =
    '{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}} {{.Actor.Attributes.container}}';
  const lines = await daemon.ok(
    ...['events', '--since', since, '--until', String(Date.now() / 1000), '--filter', 'type=network'],
    ...['--format', format],
  );
  assert.deepEqual(
    lines.split('\n').filter((line) => line.endsWith(id)),
    [
      `connect back bridge ${id}`,
      `connect front bridge ${id}`,
      `disconnect back bridge ${id}`,
      `disconnect front bridge ${id}`,
    ],
  );
});

test('names are found on every network that is shared, and follow a rename', async () => {
  await daemon.ok('run', '-d', '--name', 'server', '--network', 'back', '--network-alias', 'db', ...SLEEP);
  await daemon.ok('run', '-d', '--name', 'client', '--dns', '127.0.0.1', '--network', 'front', ...SLEEP);
  const knows = async (name: string): Promise<boolean> =>
    (await daemon.mydock(['exec', 'client', 'ping', '-c', '1', '-W', '2', name])).code === 0;
  assert.equal(await knows('server'), false);
  await daemon.ok('network', 'connect', 'back', 'client');
  for (const name of ['server', 'db', 'DB', 'server.back']) assert.ok(await knows(name), name);
  await daemon.ok('rename', 'server', 'store');
  assert.ok(await knows('store'));
  assert.equal(await knows('server'), false);
  assert.deepEqual((await networks('store'))['back']?.DNSNames?.slice(0, 2), ['store', 'db']);
});

test('what is connected while it does not run counts from the next start', async () => {
  await daemon.ok('create', '--name', 'later', '--network', 'front', ...SLEEP);
  assert.equal((await networks('later'))['front']?.NetworkID, '');
  await daemon.ok('network', 'connect', '--ip', '10.88.2.77', 'back', 'later');
  assert.equal((await networks('later'))['back']?.IPAddress, '');
  await daemon.ok('start', 'later');
  assert.match(
    await inside('later', 'ip -4 -o addr'),
    /eth0 .*10\.88\.1\.\d+\/24[\s\S]*eth1 .*10\.88\.2\.77\/24/,
  );
  await daemon.ok('stop', '-t', '0', 'later');
  const stopped = (await networks('later'))['back'];
  assert.equal(stopped?.IPAddress, '');
  assert.equal(stopped?.EndpointID, '');
  assert.equal(stopped?.NetworkID, await daemon.inspect('back', '{{.Id}}'));
  await daemon.ok('network', 'disconnect', 'front', 'later');
  await daemon.ok('start', 'later');
  assert.deepEqual(Object.keys(await networks('later')), ['back']);
});

test('several networks at create, the gateway by priority', async () => {
  await daemon.ok(
    ...['run', '-d', '--name', 'many', '--network', 'name=front,ip=10.88.1.9'],
    ...['--network', 'name=back,gw-priority=5,mac-address=02:00:00:00:00:07', '-p', '18099:80'],
    ...SLEEP,
  );
  assert.match(await inside('many', 'ip route'), /default via 10\.88\.2\.1 dev eth1/);
  assert.match(await inside('many', 'cat /sys/class/net/eth1/address'), /02:00:00:00:00:07/);
  const list = (await daemon.api('GET', '/containers/json?filters={"network":["back"]}')).json<
    ContainerSummary[]
  >();
  const many = list.find(({ Names }) => Names.includes('/many'));
  assert.deepEqual(Object.keys(many?.NetworkSettings.Networks ?? {}), ['front', 'back']);
  assert.deepEqual(
    many?.Ports.map(({ IP, PublicPort, PrivatePort }) => [IP, PublicPort, PrivatePort]),
    [
      ['0.0.0.0', 18099, 80],
      ['::', 18099, 80],
    ],
  );
});

test("what cannot be is refused in Docker's words", async () => {
  await daemon.ok('create', '--name', 'hosted', '--network', 'host', ...SLEEP);
  await daemon.ok('create', '--name', 'alone', '--network', 'none', ...SLEEP);
  await daemon.ok('create', '--name', 'guest', '--network', 'container:hosted', ...SLEEP);
  await daemon.ok('create', '--name', 'plain', ...SLEEP);
  const refused = async (message: RegExp, ...args: string[]) =>
    await daemon.fails(1, message, 'network', ...args);
  await refused(/container sharing network namespace with another/, 'connect', 'front', 'hosted');
  await refused(/container sharing network namespace with another/, 'connect', 'front', 'guest');
  await refused(/one of the networks in private \(none\) mode/, 'connect', 'front', 'alone');
  await refused(/cannot connect container to host network/, 'connect', 'host', 'plain');
  await refused(/network gone not found/, 'connect', 'gone', 'plain');
  await refused(/No such container: gone/, 'connect', 'front', 'gone');
  await refused(/is not connected to the network front/, 'disconnect', 'front', 'plain');
  await refused(/invalid IPv4 address|invalid ip/i, 'connect', '--ip', '10.88.1.999', 'front', 'plain');
  await refused(/no configured subnet or ip-range contain/, 'connect', '--ip', '10.9.9.9', 'front', 'plain');
  await daemon.ok('start', 'hosted');
  await refused(/cannot disconnect container from host network/, 'disconnect', 'host', 'hosted');
  await daemon.ok('kill', 'hosted');
  await daemon.fails(125, /network gone not found/, 'run', '--rm', '--network', 'gone', 'busybox', 'true');
  await daemon.fails(
    125,
    /user specified IP address is supported on user defined networks only/,
    ...['run', '--rm', '--ip', '10.87.0.9', 'busybox', 'true'],
  );
});

test('a container whose network was removed does not start, whatever has its name now', async () => {
  await daemon.ok('network', 'create', 'gone');
  const id = await daemon.inspect('gone', '{{.Id}}');
  await daemon.ok('run', '-d', '--name', 'orphan', '--network', 'gone', ...SLEEP);
  await daemon.fails(1, /has active endpoints/, 'network', 'rm', 'gone');
  await daemon.ok('stop', '-t', '0', 'orphan');
  await daemon.ok('network', 'rm', 'gone');
  await daemon.ok('network', 'create', 'gone');
  await daemon.fails(
    1,
    new RegExp(`failed to set up container networking: network ${id} not found`),
    'start',
    'orphan',
  );
  await daemon.ok('network', 'disconnect', '-f', 'gone', 'orphan');
  await daemon.ok('network', 'connect', 'gone', 'orphan');
  await daemon.ok('start', 'orphan');
  await daemon.ok('rm', '-f', 'orphan');
  await daemon.ok('network', 'rm', 'gone');
});

test('a build runs its steps on a network by its name', async () => {
  await daemon.ok('run', '-d', '--name', 'helper', '--network', 'back', ...SLEEP);
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'Dockerfile'),
    'FROM busybox\nRUN ping -c 1 -W 3 helper && ls /sys/class/net > /seen\n',
  );
  await daemon.ok('build', '-q', '--network', 'back', '-t', 'reached', folder);
  assert.equal(await daemon.ok('run', '--rm', 'reached', 'cat', '/seen'), 'eth0\nlo');
  await daemon.fails(1, /network nowhere not found/, 'build', '--no-cache', '--network', 'nowhere', folder);
  await daemon.ok('rmi', 'reached');
});

test('a daemon that was killed finds every network again', async () => {
  await daemon.ok('run', '-d', '--name', 'survivor', '--network', 'front', ...SLEEP);
  await daemon.ok('network', 'connect', '--alias', 'other', 'back', 'survivor');
  const before = await networks('survivor');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.deepEqual(await networks('survivor'), before);
  await daemon.ok('network', 'disconnect', 'front', 'survivor');
  assert.equal(await inside('survivor', 'ls /sys/class/net'), 'eth1\nlo');
  await daemon.ok('run', '-d', '--name', 'friend', '--network', 'back', ...SLEEP);
  await eventually('the name is known', async () => {
    return (await daemon.mydock(['exec', 'friend', 'ping', '-c', '1', '-W', '1', 'other'])).code === 0;
  });
});

test('a network whose disconnect was interrupted can be connected again', async () => {
  await daemon.ok('run', '-d', '--name', 'halfway', '--network', 'front', ...SLEEP);
  await daemon.ok('network', 'connect', 'back', 'halfway');
  const id = await daemon.inspect('halfway', '{{.Id}}');
  await daemon.stop('SIGKILL');
  // As if the daemon had been killed between the end of the endpoint and that of its mention in the container's record.
  const database = new DatabaseSync(join(daemon.dataRoot, 'mydock.db'));
  database
    .prepare(
      "DELETE FROM network_endpoint WHERE container_id = ? AND record ->> 'containerInterface' = 'eth1'",
    )
    .run(id);
  database.close();
  await daemon.launch();
  assert.deepEqual(Object.keys(await networks('halfway')), ['front']);
  await daemon.ok('network', 'connect', 'back', 'halfway');
  assert.deepEqual(Object.keys(await networks('halfway')), ['front', 'back']);
  await daemon.ok('rm', '-f', 'halfway');
});
