/** --network bridge, none, host and container:, and what /etc has to say in each. */
import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox(['--bip', '10.77.0.1/24']));
});
after(async () => await close());

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

test("bridge: an address of --bip's range, a route, and names", async () => {
  const output = await shell(
    ['-h', 'box'],
    'ip -4 -o addr show dev eth0; ip route; cat /etc/hosts; ip link show lo',
  );
  assert.match(output, /inet 10\.77\.0\.\d+\/24/);
  assert.match(output, /default via 10\.77\.0\.1 dev eth0/);
  assert.match(output, /^10\.77\.0\.\d+\tbox$/m);
  assert.match(output, /lo: <LOOPBACK,UP/);
});

test('none: the loopback alone', async () => {
  assert.equal(await shell(['--network', 'none'], 'ls /sys/class/net; ip route'), 'lo');
  assert.equal(await shell(['--network', 'none'], 'ping -c 1 -W 1 127.0.0.1 > /dev/null && echo up'), 'up');
});

test("host: the daemon's own", async () => {
  assert.equal(
    await shell(['--network', 'host'], 'readlink /proc/self/ns/net'),
    readlinkSync('/proc/self/ns/net'),
  );
});

test('container: that of another, with its files', async () => {
  await daemon.ok('run', '-d', '--name', 'owner', '-h', 'owner', 'busybox', 'httpd', '-f', '-h', '/var/www');
  assert.equal(
    await shell(
      ['--network', 'container:owner'],
      'wget -q -O - http://127.0.0.1/; hostname; cat /etc/hostname',
    ),
    'served by mydock\nowner\nowner',
  );
  await daemon.fails(
    125,
    /[Cc]onflicting options.*port|port.*[Cc]onflicting/s,
    'run',
    '--rm',
    '-p',
    '80:80',
    '--network',
    'container:owner',
    'busybox',
  );
  await daemon.ok('rm', '-f', 'owner');
  await daemon.fails(
    125,
    /No such container: owner/,
    'run',
    '--rm',
    '--network',
    'container:owner',
    'busybox',
  );
});

test('an unknown network', async () => {
  const result = await daemon.mydock(['run', '--rm', '--network', 'nowhere', 'busybox']);
  assert.equal(result.code, 125);
  assert.match(result.stderr, /network "?nowhere"?( not found|: user-defined networks)/);
});

test('addresses are used again', async () => {
  const address = async (): Promise<string> =>
    await shell([], 'ip -4 -o addr show dev eth0 | awk "{print \\$4}"');
  const seen = new Set<string>();
  for (let i = 0; i < 6; i++) seen.add(await address());
  for (const one of seen) assert.match(one, /^10\.77\.0\.\d+\/24$/);
});
