/** `network create`: what is asked for is what there is, and what cannot be is refused before anything is made. */
import assert from 'node:assert/strict';
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

const create = async (...words: string[]): Promise<string> => await daemon.ok('network', 'create', ...words);
const inspect = async (name: string, template: string): Promise<string> =>
  await daemon.ok('network', 'inspect', '-f', template, name);
const shell = async (flags: readonly string[], line: string): Promise<string> =>
  await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);

test('a name alone: the ID is printed, and a subnet is chosen that no other network has', async () => {
  const first = await create('one');
  assert.match(first, /^[0-9a-f]{64}$/);
  await create('two');
  assert.equal(
    await inspect('one', '{{.Id}} {{.Driver}} {{.Scope}} {{.Internal}}'),
    `${first} bridge local false`,
  );
  const subnets = await Promise.all(
    ['bridge', 'one', 'two'].map((name) => inspect(name, '{{range .IPAM.Config}}{{.Subnet}}{{end}}')),
  );
  assert.equal(new Set(subnets).size, 3, subnets.join());
  for (const subnet of subnets) assert.match(subnet, /^(172|192)\.\d+\.\d+\.0\/\d\d$/);
});

test('subnet, range, gateway and auxiliary addresses are what containers get', async () => {
  await create(
    ...['--subnet', '10.123.0.0/24', '--ip-range', '10.123.0.8/30', '--gateway', '10.123.0.254'],
    ...['--aux-address', 'printer=10.123.0.8', '--label', 'a=b', 'planned'],
  );
  assert.equal(
    await inspect(
      'planned',
      '{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}} {{.AuxiliaryAddresses}}{{end}} {{.Labels}}',
    ),
    '10.123.0.0/24 10.123.0.8/30 10.123.0.254 map[printer:10.123.0.8] map[a:b]',
  );
  const seen = await shell(['--network', 'planned'], 'ip -4 -o addr show dev eth0; ip route');
  assert.match(seen, /inet 10\.123\.0\.(9|10|11)\/24/);
  assert.match(seen, /default via 10\.123\.0\.254 dev eth0/);
  const fixed = ['--network', 'planned', '--ip', '10.123.0.77', '--mac-address', '02:00:00:00:00:77'];
  assert.match(
    await shell(fixed, 'ip -4 -o addr show dev eth0; ip link show eth0'),
    /10\.123\.0\.77\/24.*02:00:00:00:00:77/s,
  );
});

test('IPv6: a subnet that was asked for, one of the daemon’s own, and no IPv4', async () => {
  await create('--ipv6', '--subnet', 'fd00:77::/64', 'asked');
  assert.match(
    await shell(['--network', 'asked'], 'ip -6 -o addr show dev eth0 scope global'),
    /fd00:77::2\/64/,
  );
  await create('--ipv6', 'own');
  assert.equal(await inspect('own', '{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}'), 'true true 2');
  assert.match(await inspect('own', '{{range .IPAM.Config}}{{.Subnet}} {{end}}'), / fd[0-9a-f:]+\/64 /);
  await create('--ipv4=false', '--ipv6', 'six');
  assert.equal(await inspect('six', '{{.EnableIPv4}} {{len .IPAM.Config}}'), 'false 1');
  assert.equal(await shell(['--network', 'six'], 'ip -4 -o addr show dev eth0'), '');
});

test('an internal network has no way out', async () => {
  await create('--internal', 'inside');
  assert.equal(await inspect('inside', '{{.Internal}}'), 'true');
  const seen = await shell(['--network', 'inside'], 'ip route; ip -4 -o addr show dev eth0 | wc -l');
  assert.doesNotMatch(seen, /default/);
  assert.match(seen, /\n1$/);
});

test('a configuration can be kept and used', async () => {
  await create('--config-only', '--subnet', '10.124.0.0/24', '--label', 'kept=1', 'plan');
  assert.equal(await inspect('plan', '{{.ConfigOnly}}'), 'true');
  await create('--config-from', 'plan', 'real');
  assert.equal(
    await inspect('real', '{{.ConfigFrom.Network}} {{range .IPAM.Config}}{{.Subnet}}{{end}}'),
    'plan 10.124.0.0/24',
  );
  await daemon.ok('network', 'rm', 'real', 'plan');
});

test('what cannot be is refused with its reason', async () => {
  const refused = async (message: RegExp, ...words: string[]): Promise<void> =>
    await daemon.fails(1, message, 'network', 'create', ...words);
  await create('--subnet', '10.125.0.0/24', 'taken');
  await refused(/network with name taken already exists/, 'taken');
  await refused(/operation is not permitted on predefined bridge network/, 'bridge');
  await refused(
    /Pool overlaps with other one on this address space/,
    '--subnet',
    '10.125.0.128/25',
    'overlapping',
  );
  await refused(/invalid.*10\.126\.0\.1\/24/, '--subnet', '10.126.0.1/24', 'crooked');
  await refused(/plugin.*not found|not found/, '-d', 'no-such-driver', 'x');
  await refused(/only one instance of "host" network is allowed/, '-d', 'host', 'x');
  await refused(/name/, '/');
  await refused(/egress/, '--egress', 'some', 'x');
  await refused(/no-such-option|com\.docker\.network/, '-o', 'com.docker.network.no-such-option=1', 'x');
  assert.equal(
    await daemon.ok('network', 'ls', '-q', '--filter', 'type=custom', '--format', '{{.Name}}'),
    'taken',
  );
});

test('networks outlive the daemon', async () => {
  const id = await create('--label', 'x=y', 'kept');
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal(await inspect('kept', '{{.Id}} {{.Labels.x}}'), `${id} y`);
  assert.match(await shell(['--network', 'kept'], 'ip route'), /default via .* dev eth0/);
});
