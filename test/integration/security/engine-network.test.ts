/**
 * Attacks on the host and on neighbours from inside a container's network: router advertisements, IPv6 where there is to
 * be none, names that leave an internal network.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  // A router that listens to others all the same.
  const settings = [
    'all.forwarding=1',
    'default.forwarding=1',
    'default.accept_ra=2',
    'default.disable_ipv6=0',
  ];
  execFileSync('sysctl', ['-qw', ...settings.map((setting) => `net.ipv6.conf.${setting}`)]);
  // The host's server for names.
  execFileSync('ip', ['link', 'add', 'names0', 'type', 'bridge']);
  execFileSync('ip', ['addr', 'add', '192.0.2.53/32', 'dev', 'names0']);
  execFileSync('ip', ['link', 'set', 'names0', 'up']);
  const servers = join(mkdtempSync(join(tmpdir(), 'servers-')), 'resolv.conf');
  writeFileSync(servers, 'nameserver 192.0.2.53\n');
  execFileSync('mount', ['--bind', servers, '/etc/resolv.conf']);
  ({ daemon, close } = await daemonWithBusybox());
  await daemon.ok('network', 'create', '--ipv6', '--subnet', 'fd00:a::/64', 'six');
  await daemon.ok('network', 'create', 'four');
  await daemon.ok('network', 'create', '--internal', 'inner');
});
after(async () => {
  await daemon.ok('network', 'rm', 'six', 'four', 'inner');
  await close();
  execFileSync('umount', ['/etc/resolv.conf']);
  execFileSync('ip', ['link', 'del', 'names0']);
});

/** A router advertisement to all nodes: a default route, a prefix, for half an hour. */
const ADVERTISE = `
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
i = socket.if_nametoindex('eth0')
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, i)
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 1800, 1800, 0) + socket.inet_pton(socket.AF_INET6, 'fd00:bad::')
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ('ff02::1', 0, 0, i))
`;

test('a container that says it is a router is believed by nobody', async () => {
  for (const name of ['liar', 'neighbour']) {
    await daemon.ok('run', '-d', '--name', name, '--network', 'six', 'busybox', 'sleep', '1000');
  }
  const pid = await daemon.inspect('liar', '{{.State.Pid}}');
  for (let turn = 0; turn < 3; turn++) {
    execFileSync('nsenter', ['-t', pid, '-n', 'python3', '-c', ADVERTISE]);
    await sleep(200);
  }
  const ip = (...args: string[]): string => execFileSync('ip', ['-6', ...args], { encoding: 'utf8' });
  assert.doesNotMatch(ip('route'), /^default|fd00:bad/m);
  assert.doesNotMatch(ip('addr'), /fd00:bad/);
  const other = await daemon.inspect('neighbour', '{{.State.Pid}}');
  const inside = (...args: string[]): string =>
    execFileSync('nsenter', ['-t', other, '-n', 'ip', '-6', ...args], { encoding: 'utf8' });
  assert.doesNotMatch(inside('addr'), /fd00:bad/);
  assert.equal(inside('route', 'show', 'default').trim().split('\n').length, 1);
  await daemon.ok('rm', '-f', 'liar', 'neighbour');
});

test('a network without IPv6 has none, on the host’s side neither', async () => {
  await daemon.ok('run', '-d', '--name', 'only4', '--network', 'four', 'busybox', 'sleep', '1000');
  assert.doesNotMatch(await daemon.ok('exec', 'only4', 'cat', '/proc/net/if_inet6'), /eth0/);
  const bridge = `br-${(await daemon.inspect('four', '{{.Id}}')).slice(0, 12)}`;
  const ports = execFileSync('ip', ['-o', 'link', 'show', 'master', bridge], { encoding: 'utf8' });
  const names = [bridge, ...[...ports.matchAll(/^\d+: ([^@:]+)/gm)].map((found) => found[1] ?? '')];
  assert.equal(names.length, 2);
  const addresses = readFileSync('/proc/net/if_inet6', 'utf8');
  for (const name of names) assert.ok(!addresses.includes(name), `${name}: ${addresses}`);
  await daemon.ok('rm', '-f', 'only4');
});

test('names that are asked for in an internal network do not leave it', async () => {
  const asked: string[] = [];
  const names = createSocket('udp4').on('message', (message) => asked.push(message.toString('latin1')));
  await new Promise<void>((resolve) => names.bind(53, '192.0.2.53', resolve));
  try {
    const leak = (network: string) =>
      daemon.mydock([
        'run',
        '--rm',
        '--network',
        network,
        'busybox',
        'timeout',
        '4',
        'nslookup',
        `secret-${network}.example`,
      ]);
    await Promise.all([leak('four'), leak('inner')]);
    assert.ok(
      asked.some((text) => text.includes('secret-four')),
      'the server is asked by others',
    );
    assert.ok(!asked.some((text) => text.includes('secret-inner')));
  } finally {
    names.close();
  }
});
