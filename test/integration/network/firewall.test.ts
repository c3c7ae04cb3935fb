/** The host's firewall and ours: strict published ports, neighbours kept apart, tables of others that drop. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, run } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const HOST_ADDRESS = '192.0.2.1';
const PEER_ADDRESS = '192.0.2.2';

let daemon: Daemon;
let close: () => Promise<void>;
const shell = async (script: string): Promise<void> => {
  const result = await run(['sh', '-ec', script]);
  assert.equal(result.code, 0, result.stderr);
};

before(async () => {
  await shell(`ip netns add testpeer
    ip link add testhost type veth peer name testpeer netns testpeer
    ip addr add ${HOST_ADDRESS}/24 dev testhost
    ip link set testhost up
    ip -n testpeer addr add ${PEER_ADDRESS}/24 dev testpeer
    ip -n testpeer link set testpeer up`);
  ({ daemon, close } = await daemonWithBusybox(['--firewall', 'strict']));
});
after(async () => {
  await close();
  await run(['ip', 'netns', 'del', 'testpeer']);
});

/** What a server that says its client's address answers, or nothing. */
async function ask(port: number, from: 'peer' | 'host', timeoutMs: number): Promise<string> {
  const script = `const s = require('node:net').connect(${port}, '${HOST_ADDRESS}');
    setTimeout(() => process.exit(), ${timeoutMs});
    s.on('data', (d) => { process.stdout.write(d); process.exit(); }); s.on('error', () => process.exit());`;
  const command = [process.execPath, '-e', script];
  const result = await run(from === 'peer' ? ['ip', 'netns', 'exec', 'testpeer', ...command] : command);
  return result.stdout.trim();
}

test('strict: the host decides by its input rules who reaches a published port', async () => {
  const serve = ['sh', '-c', 'while :; do echo hello | nc -l -p 80; done'];
  await daemon.ok('run', '-d', '--name', 'allowed', '-p', '18081:80', 'busybox', ...serve);
  await daemon.ok('run', '-d', '--name', 'forbidden', '-p', '18082:80', 'busybox', ...serve);
  await eventually('it answers the host', async () => (await ask(18081, 'host', 2000)) === 'hello');
  assert.equal(await ask(18082, 'peer', 30_000), 'hello', 'no rules: open');
  await shell(`nft 'table inet host { chain input { type filter hook input priority 0; policy drop;
    iifname lo accept; ct state established,related accept; tcp dport 18081 accept; tcp dport 18082 counter
  }; }'`);
  // An answer that is merely late is no proof: the rule before the policy's drop has seen the packets.
  const refused = async (): Promise<boolean> =>
    (await ask(18082, 'peer', 1500)) === '' &&
    /counter packets [1-9]/.test((await run(['nft', 'list', 'table', 'inet', 'host'])).stdout);
  try {
    await eventually('the policy counts', refused);
    assert.equal(await ask(18081, 'peer', 30_000), 'hello');
    assert.equal(await ask(18082, 'host', 30_000), 'hello');
  } finally {
    await shell('nft delete table inet host');
    await daemon.ok('rm', '-f', 'allowed', 'forbidden');
  }
});

test('enable_icc=false keeps neighbours apart', async () => {
  await daemon.ok('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'apart');
  const listen = ['sh', '-c', 'while :; do echo hello | nc -l -p 80; done'];
  try {
    for (const switched of ['0', '1']) {
      // Whether bridged packets pass the firewall of IP or not, when the containers start.
      await shell(`echo ${switched} >/proc/sys/net/bridge/bridge-nf-call-iptables`);
      await daemon.ok('run', '-d', '--name', 'target', '--network', 'apart', 'busybox', ...listen);
      const address = await daemon.inspect('target', '{{.NetworkSettings.Networks.apart.IPAddress}}');
      const attempt = ['sh', '-c', `nc -w 2 ${address} 80 </dev/null || echo refused`];
      assert.equal(await daemon.ok('run', '--rm', '--network', 'apart', 'busybox', ...attempt), 'refused');
      await daemon.ok('rm', '-f', 'target');
    }
  } finally {
    await daemon.mydock(['rm', '-f', 'target']);
    await daemon.ok('network', 'rm', 'apart');
  }
});

test('info warns of a table that drops what containers send, and system check names the rule', async () => {
  assert.doesNotMatch(await daemon.ok('info'), /firewall table/);
  await shell(`nft 'table inet other { chain passing { type filter hook forward priority 0; policy accept
    iifname "mydock*" counter drop
  }; }'`);
  try {
    const info = await daemon.mydock(['info']);
    assert.match(
      `${info.stdout}${info.stderr}`,
      /WARNING: firewall table inet other: the rule with handle \d+ of chain "passing" drops IPv4 connections of containers/,
    );
    const check = await daemon.mydock(['system', 'check', '--quick']);
    assert.match(`${check.stdout}${check.stderr}`, /inet other.*rule with handle \d+ of chain "passing"/s);
  } finally {
    await shell('nft delete table inet other');
  }
});
