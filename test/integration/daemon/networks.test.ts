/** The daemon's network flags: what they make of the default bridge and of new networks, and what `info` says of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SystemInfo } from '../../../src/api/system.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox([
    ...['--bip', '10.180.0.1/24', '--fixed-cidr', '10.180.0.64/26', '--mtu', '1400', '--icc=false'],
    ...['--ipv6', '--fixed-cidr-v6', 'fd00:180::/64'],
    ...['--default-address-pool', 'base=10.181.0.0/16,size=26'],
    ...(TESTING_DOCKER ? [] : ['--firewall', 'strict']),
  ]));
});
after(async () => {
  await daemon.removeContainers();
  await daemon.ok('network', 'prune', '-f');
  await close();
});

test('the default bridge has the address, range, MTU and IPv6 subnet that were asked for', async () => {
  const seen = await daemon.ok(
    'run',
    '--rm',
    'busybox',
    'sh',
    '-c',
    'ip -o addr show dev eth0; ip link show eth0; ip route',
  );
  const address = Number(/inet 10\.180\.0\.(\d+)\/24/.exec(seen)?.[1]);
  assert.ok(address >= 64 && address < 128, seen);
  assert.match(seen, /inet6 fd00:180::[0-9a-f]+\/64/);
  assert.match(seen, /mtu 1400/);
  assert.match(seen, /default via 10\.180\.0\.1 /);
});

test('its containers do not reach each other, those of a network of their own do', async () => {
  const address = async (network: string): Promise<string> => {
    await daemon.ok(
      'run',
      '-d',
      '--name',
      network,
      '--network',
      network,
      '--stop-signal',
      'KILL',
      'busybox',
      'sleep',
      '1000',
    );
    return await daemon.inspect(network, `{{.NetworkSettings.Networks.${network}.IPAddress}}`);
  };
  const ping = async (network: string, host: string): Promise<string> => {
    const words = ['--network', network, 'busybox', 'ping', '-c', '1', '-W', '2', host];
    return (await daemon.mydock(['run', '--rm', ...words])).stdout;
  };
  const closed = await address('bridge');
  assert.match(await ping('bridge', closed), /100% packet loss/);
  await daemon.ok('network', 'create', 'open');
  assert.match(await ping('open', await address('open')), / 0% packet loss/);
});

test('new networks get subnets of the pool', async () => {
  const subnets: string[] = [];
  for (const name of ['one', 'two']) {
    await daemon.ok('network', 'create', name);
    subnets.push(await daemon.ok('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Subnet}}', name));
  }
  for (const subnet of subnets) assert.match(subnet, /^10\.181\.\d+\.(0|64|128|192)\/26$/);
  assert.equal(new Set(subnets).size, 2);
});

test('info says so', async () => {
  const info = (await daemon.api('GET', '/info')).json<SystemInfo>();
  assert.deepEqual(info.DefaultAddressPools, [{ Base: '10.181.0.0/16', Size: 26 }]);
  assert.deepEqual(
    ['bridge', 'host', 'ipvlan', 'macvlan', 'null'].filter((name) => !info.Plugins.Network.includes(name)),
    [],
  );
  if (TESTING_DOCKER) return;
  assert.equal(info.FirewallBackend?.Driver, 'nftables');
  assert.match(
    await daemon.ok('info'),
    /Base: 10\.181\.0\.0\/16, Size: 26\n.*Firewall Backend: nftables\n +Published Ports: strict/s,
  );
});

test('with --firewall strict nobody is told that a port is open to all', {
  skip: TESTING_DOCKER && 'about mydockd',
}, async () => {
  const words = [
    'run',
    '-d',
    '--name',
    'shown',
    '-p',
    '18090:80',
    '-p',
    '127.0.0.1:18091:80',
    '--stop-signal',
    'KILL',
  ];
  await daemon.ok(...words, 'busybox', 'sleep', '1000');
  const lines = (await daemon.ok('port', '--open', 'shown', '80')).split('\n');
  assert.ok(lines.includes("0.0.0.0:18090  (open as far as this host's rules allow)"), lines.join());
  assert.ok(lines.includes('127.0.0.1:18091  (this host only)'), lines.join());
});
