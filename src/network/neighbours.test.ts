/**
 * Containers of one network that are kept apart (`icc=false`), on a real kernel, with and without bridged packets
 * passing the IP firewall: neighbours do not reach each other, what they publish they do. The file runs itself again in
 * namespaces of its own.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { openDatabase } from '../base/database.ts';
import { log } from '../base/log.ts';
import type { AttachRequest } from './model.ts';
import { NetnsAgent } from './netns-agent-fixture.ts';
import { NETWORK_MIGRATIONS, NetworkManager } from './network-manager.ts';

const INSIDE = 'MYDOCK_TEST_NETNS';
const BRIDGE_NETFILTER = ['iptables', 'ip6tables'].map(
  (name) => `/proc/sys/net/bridge/bridge-nf-call-${name}`,
);
const skip = process.getuid?.() === 0 ? false : 'needs root';

if (process.env[INSIDE] === undefined) {
  it('passes its suite in a network namespace of its own', { skip }, () => {
    const env: NodeJS.ProcessEnv = { ...process.env, [INSIDE]: '1' };
    delete env['NODE_TEST_CONTEXT'];
    const command = [process.execPath, '--test-reporter=spec', import.meta.filename];
    const result = spawnSync('unshare', ['--net', '--mount', ...command], {
      env,
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
    assert.match(result.stdout, /pass 2/, 'the suite ran');
  });
} else {
  log.level = 'fatal';
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  execFileSync('ip', ['link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1']);
  execFileSync('ip', ['link', 'set', 'up0', 'up']);
  execFileSync('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'up0']);
  execFileSync('ip', ['address', 'add', 'fd77::1/64', 'dev', 'up0', 'nodad']);
  const there = existsSync(BRIDGE_NETFILTER[0] ?? '');
  it('with bridged packets in the firewall', { skip: there ? false : 'no br_netfilter' }, () =>
    neighbours('1'),
  );
  it('with bridged packets beside the firewall', () => neighbours('0'));
}

async function neighbours(bridgeNetfilter: '0' | '1'): Promise<void> {
  for (const path of BRIDGE_NETFILTER) if (existsSync(path)) writeFileSync(path, bridgeNetfilter);
  const directory = mkdtempSync(join(tmpdir(), 'mydock-neighbours-'));
  const database = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
  const manager = await NetworkManager.open({ database, instance: '', execRoot: directory });
  const agents: NetnsAgent[] = [];
  try {
    await manager.reconcile(new Set());
    await manager.create({
      Name: 'apart',
      EnableIPv6: true,
      Options: { 'com.docker.network.bridge.enable_icc': 'false' },
    });
    const attach = async (containerId: string, hostPort: number) => {
      const request: AttachRequest = {
        containerId,
        containerName: containerId,
        hostname: '',
        networks: [{ network: 'apart', settings: {} }],
        ports: [{ containerPort: 80, protocol: 'tcp', hostIp: '', hostPort }],
        dns: { servers: [], search: [], options: [] },
        egress: null,
      };
      const sandbox = await manager.attach(request);
      const agent = await NetnsAgent.start(sandbox.netnsPath);
      agents.push(agent);
      await agent.listen('tcp', '::', 80, containerId);
      const [endpoint] = sandbox.endpoints;
      assert.ok(endpoint);
      return { agent, endpoint };
    };
    const one = await attach('one', 8081);
    const two = await attach('two', 8082);
    for (const address of [two.endpoint.ipAddress, two.endpoint.ipv6Address]) {
      const answer = await one.agent.ask('tcp', address, 80, 400);
      assert.match(answer, /^(timeout|E[A-Z]+)$/, `one reaches two at ${address}`);
    }
    for (const address of ['192.0.2.1', 'fd77::1', one.endpoint.gateway]) {
      assert.match(await one.agent.ask('tcp', address, 8082), /^two /, `two is not published at ${address}`);
    }
    assert.match(await one.agent.ask('tcp', '192.0.2.1', 8081), /^one /, 'its own port');
  } finally {
    for (const agent of agents) await agent.stop();
    await manager.reconcile(new Set());
    await manager.destroy();
    database.close();
    rmSync(directory, { recursive: true });
  }
}
