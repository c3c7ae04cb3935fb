/** Two daemons on one machine: each has its own networks, rules and containers, and neither leaves anything behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon, daemonWithRegistry } from '../harness.ts';

test('a daemon comes and goes beside another, whose containers stay reachable', async () => {
  const { daemon: first, registry, close } = await daemonWithRegistry();
  try {
    const second = await Daemon.start();
    try {
      await second.ok('pull', '-q', `${registry.host}/busybox`);
      await second.ok('tag', `${registry.host}/busybox`, 'busybox');
      for (const daemon of [first, second]) {
        await daemon.ok('network', 'create', 'net');
        const server = ['sh', '-c', 'while :; do echo here | nc -l -p 80; done'];
        await daemon.ok('run', '-d', '--name', 'server', '--network', 'net', 'busybox', ...server);
      }
      const asked = async (daemon: Daemon): Promise<string> =>
        await daemon.ok('run', '--rm', '--network', 'net', 'busybox', 'nc', 'server', '80');
      assert.deepEqual([await asked(first), await asked(second)], ['here', 'here']);
      assert.notEqual(
        await first.inspect('server', '{{.NetworkSettings.Networks.net.IPAddress}}'),
        await second.inspect('server', '{{.NetworkSettings.Networks.net.IPAddress}}'),
      );
      await first.ok('rm', '-f', 'server');
      await first.ok('network', 'rm', 'net');
      assert.equal(await asked(second), 'here');
      await second.ok('rm', '-f', 'server');
      await second.ok('network', 'rm', 'net');
    } finally {
      await second.close();
    }
  } finally {
    await close();
  }
});
