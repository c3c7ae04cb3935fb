/**
 * Networks of users and containers on several of them, on a real kernel: the file runs itself again in a network
 * namespace of its own, which stands for the host. `ip`, `nft` and processes in the containers' namespaces check what
 * was made.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { EndpointSettings, NetworkCreateRequest } from '../api/networks.ts';
import type { Database } from '../base/database.ts';
import { openDatabase } from '../base/database.ts';
import { log } from '../base/log.ts';
import type { AttachRequest, Endpoint, PortMapping, Sandbox } from './model.ts';
import { NetnsAgent } from './netns-agent-fixture.ts';
import { NETWORK_MIGRATIONS, NetworkManager } from './network-manager.ts';
import { OWN_NETNS } from './own-netns-fixture.ts';

/** Set in a process that makes and unmakes networks until it is killed: the folder of its database. */
const VICTIM = 'MYDOCK_TEST_VICTIM';

const request = (wanted: Partial<AttachRequest> & { containerId: string }): AttachRequest => ({
  containerName: `name-${wanted.containerId}`,
  hostname: `host-${wanted.containerId}`,
  networks: [],
  ports: [],
  dns: { servers: [], search: [], options: [] },
  egress: null,
  ...wanted,
});

const on = (network: string, settings: EndpointSettings = {}) => ({ network, settings });

const published = (hostPort: number, containerPort: number): PortMapping => ({
  containerPort,
  protocol: 'tcp',
  hostIp: '',
  hostPort,
});

if (process.env[VICTIM] !== undefined) await victim(process.env[VICTIM]);
else if (OWN_NETNS.inside) suite();
else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

/** Attaches, connects, disconnects, publishes and removes, several at a time, for ever. */
async function victim(directory: string): Promise<void> {
  log.level = 'silent';
  const database = openDatabase(join(directory, 'db'), [NETWORK_MIGRATIONS]);
  const manager = await NetworkManager.open({ database, instance: '', execRoot: directory });
  await manager.reconcile(new Set());
  process.stdout.write('going\n');
  const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;
  const networks = ['bridge', 'one', 'two', 'three'];
  const containers = ['a', 'b', 'c', 'd'];
  const deeds = [
    () => manager.create({ Name: pick(networks), EnableIPv6: Math.random() < 0.5 }),
    () => manager.remove(pick(networks)),
    () =>
      manager.attach(
        request({
          containerId: pick(containers),
          networks: [on(pick(networks)), on(pick(networks))],
          ports: [published(0, 80), { ...published(0, 53), protocol: 'udp' }],
          egress: Math.random() < 0.5 ? null : { subnets: ['192.0.2.0/24'], names: [] },
        }),
      ),
    () => manager.connect(pick(containers), pick(networks), {}),
    () => manager.disconnect(pick(containers), pick(networks)),
    () => manager.changePorts(pick(containers), { add: [published(0, 81)], remove: [] }),
    () => manager.detach(pick(containers)),
  ];
  const worker = async (): Promise<void> => {
    for (;;) {
      // Many deeds are impossible at the time: that is part of it.
      await pick(deeds)().catch(() => undefined);
      await sleep(1);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}

function suite(): void {
  let directory = '';
  let database: Database;
  const agents: NetnsAgent[] = [];
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' });
  const inside = ({ netnsPath }: Sandbox, ...args: string[]) => run('nsenter', `--net=${netnsPath}`, ...args);
  const open = () => NetworkManager.open({ database, instance: '', execRoot: directory });
  const endpointOn = ({ endpoints }: Sandbox, name: string): Endpoint => {
    const found = endpoints.find(({ networkName }) => networkName === name);
    assert.ok(found, `an endpoint on ${name}`);
    return found;
  };
  /** Through the resolver in the namespace; addresses sorted, or the error's code. */
  const resolve = async ({ netnsPath }: Sandbox, name: string, kind = 'resolve4'): Promise<string> => {
    const script = `const r = new (require('node:dns').promises.Resolver)({ timeout: 1000, tries: 2 });
      r.setServers(['127.0.0.11']);
      r.${kind}(${JSON.stringify(name)}).then((found) => console.log(found.sort().join()), (e) => console.log(e.code));`;
    // Not by a synchronous call: the resolver is in this process.
    const program = promisify(execFile);
    const { stdout } = await program('nsenter', [`--net=${netnsPath}`, process.execPath, '-e', script]);
    return stdout.trim();
  };

  async function withManager(body: (manager: NetworkManager) => Promise<void>): Promise<void> {
    const manager = await open();
    try {
      await manager.reconcile(new Set());
      await body(manager);
    } finally {
      for (const agent of agents.splice(0)) await agent.stop();
      await manager.reconcile(new Set());
      for (const { Name } of manager.list()) {
        if (!['bridge', 'host', 'none'].includes(Name)) await manager.remove(Name);
      }
      await manager.destroy();
    }
    assertNothingLeft();
  }

  function assertNothingLeft(): void {
    assert.deepEqual(
      run('ip', '-o', 'link')
        .split('\n')
        .filter((line) => /mydock|veth|br-/.test(line)),
      [],
    );
    assert.equal(run('nft', 'list', 'ruleset'), '');
    assert.deepEqual(readdirSync(join(directory, 'netns')), []);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${directory}/netns`));
  }

  async function agentIn(sandbox: Sandbox): Promise<NetnsAgent> {
    const agent = await NetnsAgent.start(sandbox.netnsPath);
    agents.push(agent);
    return agent;
  }

  before(() => {
    log.level = 'fatal';
    directory = mkdtempSync(join(tmpdir(), 'mydock-sandboxes-'));
    database = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
    run('ip', 'link', 'set', 'lo', 'up');
  });

  after(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });

  describe('networks of users', () => {
    const create = (manager: NetworkManager, Name: string, more: Partial<NetworkCreateRequest> = {}) =>
      manager.create({ Name, ...more });

    it('are made as asked, described, found and removed', async () => {
      await withManager(async (manager) => {
        const { Id } = await create(manager, 'front', {
          EnableIPv6: true,
          Labels: { tier: 'web' },
          IPAM: {
            Config: [
              {
                Subnet: '10.77.0.0/16',
                IPRange: '10.77.5.0/24',
                Gateway: '10.77.0.9',
                AuxiliaryAddresses: { printer: '10.77.5.0' },
              },
            ],
          },
        });
        const network = manager.inspect(Id.slice(0, 10));
        assert.equal(network.Name, 'front');
        assert.deepEqual(network.Labels, { tier: 'web' });
        assert.deepEqual(network.IPAM.Config?.[0], {
          Subnet: '10.77.0.0/16',
          IPRange: '10.77.5.0/24',
          Gateway: '10.77.0.9',
          AuxiliaryAddresses: { printer: '10.77.5.0' },
        });
        assert.match(network.IPAM.Config?.[1]?.Subnet ?? '', /^fd[0-9a-f]{2}:[0-9a-f:]+\/64$/);
        const bridge = run('ip', '-o', 'addr', 'show', `br-${Id.slice(0, 12)}`);
        assert.match(bridge, /inet 10\.77\.0\.9\/16/);
        assert.match(bridge, /inet6 fd[0-9a-f:]+::1\/64 scope global/);
        assert.equal(readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8').trim(), '1');
        const sandbox = await manager.attach(request({ containerId: 'a', networks: [on('front')] }));
        const endpoint = endpointOn(sandbox, 'front');
        assert.equal(endpoint.ipAddress, '10.77.5.1');
        assert.match(endpoint.ipv6Address, /::2$/);
        assert.match(inside(sandbox, 'ip', '-6', 'route'), /default via fd[0-9a-f:]+::1 dev eth0/);
        await assert.rejects(manager.remove('front'), {
          kind: 'Forbidden',
          message: /network front has active endpoints \(name:"name-a" id:"[0-9a-f]{12}"\)/,
        });
        await manager.detach('a');
        await manager.remove('front');
        assert.throws(() => manager.find('front'), { kind: 'NotFound', message: 'network front not found' });
      });
    });

    it('never overlap each other or what the host uses', async () => {
      await withManager(async (manager) => {
        run('ip', 'link', 'add', 'lan0', 'type', 'bridge');
        run('ip', 'link', 'set', 'lan0', 'up');
        run('ip', 'addr', 'add', '172.18.3.4/24', 'dev', 'lan0');
        run('ip', 'route', 'add', '10.50.0.0/16', 'dev', 'lan0');
        try {
          await create(manager, 'one');
          assert.equal(manager.inspect('one').IPAM.Config?.[0]?.Subnet, '172.19.0.0/16');
          const asking = (Subnet: string) => create(manager, 'two', { IPAM: { Config: [{ Subnet }] } });
          await assert.rejects(asking('172.19.5.0/24'), {
            kind: 'Forbidden',
            message: 'invalid pool request: Pool overlaps with other one on this address space',
          });
          await assert.rejects(asking('10.50.7.0/24'), {
            kind: 'Forbidden',
            message: /overlaps with the host's route 10\.50\.0\.0\/16 of lan0/,
          });
          await assert.rejects(create(manager, 'one'), {
            kind: 'Conflict',
            message: 'network with name one already exists',
          });
        } finally {
          run('ip', 'link', 'del', 'lan0');
        }
      });
    });

    it('give static addresses where the subnet was asked for', async () => {
      await withManager(async (manager) => {
        await create(manager, 'fixed', { IPAM: { Config: [{ Subnet: '10.78.0.0/24' }] } });
        await create(manager, 'free');
        const at = (network: string, IPv4Address: string, containerId: string) =>
          manager.attach(request({ containerId, networks: [on(network, { IPAMConfig: { IPv4Address } })] }));
        const first = await at('fixed', '10.78.0.2', 'a');
        assert.equal(endpointOn(first, 'fixed').ipAddress, '10.78.0.2');
        const second = await manager.attach(request({ containerId: 'b', networks: [on('fixed')] }));
        assert.equal(endpointOn(second, 'fixed').ipAddress, '10.78.0.3', 'the next one is taken');
        for (const taken of ['10.78.0.2', '10.78.0.1', '10.78.0.255']) {
          await assert.rejects(at('fixed', taken, 'c'), {
            kind: 'Forbidden',
            message: 'Address already in use',
          });
        }
        await assert.rejects(at('fixed', '10.79.0.2', 'c'), /no configured subnet or ip-range contain/);
        await assert.rejects(
          at('free', '172.18.0.9', 'c'),
          /only when connecting to networks with user configured/,
        );
      });
    });

    it('of drivers with a parent have interfaces of their own', async (context) => {
      const kernel = spawnSync('ip', ['link', 'add', 'mv0', 'link', 'lo', 'type', 'macvlan']);
      spawnSync('ip', ['link', 'del', 'mv0']);
      if (kernel.stderr.includes('Unknown device type')) return context.skip('no macvlan in this kernel');
      await withManager(async (manager) => {
        await create(manager, 'mac', { Driver: 'macvlan', IPAM: { Config: [{ Subnet: '10.80.0.0/24' }] } });
        const a = await manager.attach(request({ containerId: 'a', networks: [on('mac')] }));
        const b = await manager.attach(request({ containerId: 'b', networks: [on('mac')] }));
        assert.equal(endpointOn(a, 'mac').hostInterface, '');
        const server = await agentIn(a);
        await server.listen('tcp', '0.0.0.0', 80, 'a');
        const { ipAddress } = endpointOn(a, 'mac');
        assert.equal(
          await (await agentIn(b)).ask('tcp', ipAddress, 80),
          `a ${endpointOn(b, 'mac').ipAddress}`,
        );
      });
    });

    it('that were half made or half removed are gone with the next start', async () => {
      await withManager(async (manager) => {
        const { Id } = await create(manager, 'half');
        const { Id: other } = await create(manager, 'whole');
        for (const [id, state] of [[Id, 'coming']] as const) {
          database.prepare('UPDATE network SET state = ? WHERE id = ?').run(state, id);
        }
        const second = await open();
        assert.deepEqual(
          second
            .list()
            .map(({ Name }) => Name)
            .slice(3),
          ['whole'],
        );
        const links = run('ip', '-o', 'link');
        assert.ok(!links.includes(Id.slice(0, 12)) && links.includes(other.slice(0, 12)));
        assert.doesNotMatch(run('nft', 'list', 'ruleset'), new RegExp(`br-${Id.slice(0, 12)}`));
        await second.close();
      });
    });
  });

  describe('containers on networks', () => {
    it('find each other by name where they share a network, and only there', async () => {
      await withManager(async (manager) => {
        for (const Name of ['front', 'back']) await manager.create({ Name });
        const web = await manager.attach(
          request({ containerId: 'w'.repeat(64), containerName: 'web', networks: [on('front'), on('back')] }),
        );
        const db = await manager.attach(
          request({
            containerId: 'd'.repeat(64),
            containerName: 'DB',
            networks: [on('back', { Aliases: ['store'] })],
          }),
        );
        const twin = await manager.attach(
          request({
            containerId: 't'.repeat(64),
            containerName: 'twin',
            networks: [on('back', { Aliases: ['store'] })],
          }),
        );
        const guest = await manager.attach(
          request({
            containerId: 'g'.repeat(64),
            containerName: 'guest',
            networks: [on('front', { Links: ['web:site'] })],
          }),
        );
        assert.equal(web.dns, true);
        assert.deepEqual(endpointOn(db, 'back').dnsNames.slice(0, 3), ['DB', 'store', 'd'.repeat(12)]);
        const [dbAddress, twinAddress] = [db, twin].map((sandbox) => endpointOn(sandbox, 'back').ipAddress);
        assert.equal(await resolve(web, 'db'), dbAddress);
        assert.equal(await resolve(web, 'db.back'), dbAddress);
        assert.equal(await resolve(web, 'store'), [dbAddress, twinAddress].sort().join());
        assert.equal(await resolve(web, dbAddress ?? '', 'reverse'), 'DB.back');
        assert.equal(await resolve(guest, 'site'), endpointOn(web, 'front').ipAddress);
        assert.notEqual(await resolve(web, 'site'), endpointOn(web, 'front').ipAddress);
        assert.notEqual(await resolve(guest, 'db'), dbAddress);
        manager.rename('d'.repeat(64), 'renamed');
        assert.equal(await resolve(web, 'renamed'), dbAddress);
        await manager.detach('t'.repeat(64));
        assert.equal(await resolve(web, 'store'), dbAddress);
      });
    });

    it('are connected and disconnected while they run; the gateway and published ports move', async () => {
      await withManager(async (manager) => {
        for (const Name of ['aaa', 'zzz']) await manager.create({ Name });
        await manager.create({ Name: 'inner', Internal: true });
        const ports = [published(8080, 80)];
        let sandbox = await manager.attach(request({ containerId: 'c', networks: [on('inner')], ports }));
        const routes = () => inside(sandbox, 'ip', 'route');
        assert.deepEqual(sandbox.ports, [], 'an internal network publishes nothing');
        assert.doesNotMatch(routes(), /default/);
        const server = await agentIn(sandbox);
        const host = await NetnsAgent.start(null);
        agents.push(host);
        await server.listen('tcp', '0.0.0.0', 80, 'c');

        sandbox = await manager.connect('c', 'zzz', {});
        assert.match(routes(), /default via 172\.\d+\.0\.1 dev eth1/);
        assert.equal(sandbox.ports[0]?.hostPort, 8080);
        const zzz = endpointOn(sandbox, 'zzz');
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080), `c ${zzz.gateway}`);

        sandbox = await manager.connect('c', 'aaa', {});
        const aaa = endpointOn(sandbox, 'aaa');
        assert.match(routes(), new RegExp(`default via ${aaa.gateway.replaceAll('.', '\\.')} dev eth2`));
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080), `c ${aaa.gateway}`, 'by name it comes first');
        await assert.rejects(manager.connect('c', 'aaa', {}), {
          kind: 'Forbidden',
          message: 'endpoint with name name-c already exists in network aaa',
        });

        sandbox = await manager.disconnect('c', 'aaa');
        assert.match(routes(), /default via 172\.\d+\.0\.1 dev eth1/);
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080), `c ${zzz.gateway}`);
        sandbox = await manager.connect('c', 'aaa', { GwPriority: -1 });
        assert.equal(endpointOn(sandbox, 'aaa').containerInterface, 'eth3', 'a name is not used again');
        assert.match(routes(), /default via 172\.\d+\.0\.1 dev eth1/, 'less priority');

        await manager.disconnect('c', 'aaa');
        sandbox = await manager.disconnect('c', 'zzz');
        assert.doesNotMatch(routes(), /default/);
        assert.deepEqual(sandbox.ports, []);
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080, 300), 'ECONNREFUSED');
        sandbox = await manager.disconnect('c', 'inner');
        assert.deepEqual(sandbox.endpoints, []);
        await assert.rejects(manager.disconnect('c', 'inner'), {
          kind: 'Forbidden',
          message: /is not connected to/,
        });
      });
    });

    it('change their published ports while they run, all or nothing', async () => {
      await withManager(async (manager) => {
        let sandbox = await manager.attach(
          request({ containerId: 'c', networks: [on('bridge')], ports: [published(8080, 80)] }),
        );
        const server = await agentIn(sandbox);
        const host = await NetnsAgent.start(null);
        agents.push(host);
        await server.listen('tcp', '0.0.0.0', 80, 'c80');
        await server.listen('tcp', '0.0.0.0', 81, 'c81');
        const numbers = ({ ports }: Sandbox) => ports.map(({ hostPort, hostIp }) => `${hostIp} ${hostPort}`);
        await manager.attach(
          request({ containerId: 'other', networks: [on('bridge')], ports: [published(8090, 80)] }),
        );
        const remove = sandbox.ports;
        await assert.rejects(
          manager.changePorts('c', { add: [published(8081, 81), published(8090, 81)], remove }),
          /Bind for 0\.0\.0\.0:8090 failed: port is already allocated/,
        );
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080), 'c80 172.17.0.1');
        assert.equal(await host.ask('tcp', '127.0.0.1', 8081, 300), 'ECONNREFUSED');
        sandbox = await manager.changePorts('c', { add: [published(8080, 81)], remove });
        assert.equal(await host.ask('tcp', '127.0.0.1', 8080), 'c81 172.17.0.1');
        sandbox = await manager.changePorts('c', { add: [published(8082, 80)], remove: [] });
        assert.deepEqual(numbers(sandbox), ['0.0.0.0 8080', ':: 8080', '0.0.0.0 8082', ':: 8082']);
        assert.equal(await host.ask('tcp', '127.0.0.1', 8082), 'c80 172.17.0.1');
        await assert.rejects(manager.changePorts('c', { add: [], remove }), { kind: 'NotFound' });
      });
    });

    it('start at once, also on a network that is new, each with an address of its own', async () => {
      await withManager(async (manager) => {
        await manager.create({ Name: 'crowd', EnableIPv6: true });
        const ids = Array.from({ length: 40 }, (_, index) => `c${index}`);
        const all = await Promise.all(
          ids.map((containerId) => manager.attach(request({ containerId, networks: [on('crowd')] }))),
        );
        const endpoints = all.map((sandbox) => endpointOn(sandbox, 'crowd'));
        assert.equal(new Set(endpoints.map(({ ipAddress }) => ipAddress)).size, 40);
        assert.equal(new Set(endpoints.map(({ ipv6Address }) => ipv6Address)).size, 40);
        const server = await agentIn(all[0] as Sandbox);
        await server.listen('tcp', '::', 80, 'first');
        const last = await agentIn(all[39] as Sandbox);
        assert.match(await last.ask('tcp', endpoints[0]?.ipv6Address ?? '', 80), /^first fd/);
        assert.equal(Object.keys(manager.inspect('crowd').Containers).length, 40);
      });
    });

    it('live through the death of the daemon with all networks, routes, ports and names', async () => {
      const first = await open();
      await first.reconcile(new Set());
      for (const Name of ['one', 'two']) await first.create({ Name });
      const sandbox = await first.attach(
        request({ containerId: 'c', networks: [on('one'), on('two')], ports: [published(8080, 80)] }),
      );
      const peer = await first.attach(request({ containerId: 'p', networks: [on('two')] }));
      const server = await agentIn(sandbox);
      const host = await NetnsAgent.start(null);
      agents.push(host);
      await server.listen('tcp', '0.0.0.0', 80, 'c');
      await first.close();
      run('ip', 'link', 'del', `br-${endpointOn(sandbox, 'two').networkId.slice(0, 12)}`);
      const second = await open();
      const found = await second.reconcile(new Set(['c', 'p']));
      assert.deepEqual(found.get('c'), sandbox);
      assert.equal(await host.ask('tcp', '127.0.0.1', 8080), `c ${endpointOn(sandbox, 'one').gateway}`);
      assert.equal(await resolve(sandbox, 'name-p'), endpointOn(peer, 'two').ipAddress);
      const client = await agentIn(peer);
      const { ipAddress } = endpointOn(sandbox, 'two');
      assert.equal(await client.ask('tcp', ipAddress, 80), `c ${endpointOn(peer, 'two').ipAddress}`);
      for (const agent of agents.splice(0)) await agent.stop();
      await second.reconcile(new Set());
      for (const Name of ['one', 'two']) await second.remove(Name);
      await second.destroy();
      assertNothingLeft();
    });

    it('leave a network whatever they have done to their interfaces', async () => {
      await withManager(async (manager) => {
        await manager.create({ Name: 'one' });
        await manager.create({ Name: 'two' });
        const networks = [on('one'), on('two')];
        for (const deed of [
          ['delete', 'eth1'],
          ['set', 'eth1', 'down'],
        ]) {
          const sandbox = await manager.attach(request({ containerId: 'c', networks }));
          inside(sandbox, 'ip', 'link', ...deed);
          await manager.disconnect('c', 'one');
          assert.doesNotMatch(inside(sandbox, 'ip', '-o', 'link'), /eth0/);
          assert.deepEqual(manager.inspect('one').Containers, {});
          await manager.detach('c');
        }
      });
    });

    it('get what an interrupted daemon had not made yet', async () => {
      const first = await open();
      await first.reconcile(new Set());
      await first.create({ Name: 'one' });
      await first.create({ Name: 'lan', Driver: 'macvlan' });
      const sandbox = await first.attach(request({ containerId: 'c', networks: [on('one'), on('lan')] }));
      const seen = (): string[] =>
        inside(sandbox, 'ip', '-o', '-4', 'addr')
          .split('\n')
          .flatMap((line) => /(eth\d) +inet (\S+)/.exec(line)?.slice(1).join(' ') ?? []);
      const whole = seen();
      assert.equal(whole.length, 2);
      const routes = inside(sandbox, 'ip', 'route');
      await first.close();
      let manager = first;
      for (const deeds of [
        [['link', 'delete', 'eth1']],
        ['eth0', 'eth1'].flatMap((name) => [
          ['addr', 'flush', 'dev', name],
          ['link', 'set', name, 'down'],
        ]),
      ]) {
        for (const deed of deeds) inside(sandbox, 'ip', ...deed);
        manager = await open();
        await manager.reconcile(new Set(['c']));
        assert.deepEqual(seen(), whole);
        assert.equal(inside(sandbox, 'ip', 'route'), routes);
        await manager.close();
      }
      manager = await open();
      await manager.reconcile(new Set(['c']));
      inside(sandbox, 'ip', 'link', 'set', 'eth1', 'down');
      inside(sandbox, 'ip', 'link', 'set', 'eth1', 'name', 'lan0');
      await manager.disconnect('c', 'lan');
      assert.doesNotMatch(inside(sandbox, 'ip', '-o', 'link'), /lan0/, 'also under another name');
      await manager.reconcile(new Set());
      for (const Name of ['one', 'lan']) await manager.remove(Name);
      await manager.destroy();
      assertNothingLeft();
    });

    it('that may not leave their network do not', async () => {
      await withManager(async (manager) => {
        await manager.create({ Name: 'shut', Options: { 'mydock.egress': 'allow=192.0.2.0/24' } });
        const sandbox = await manager.attach(request({ containerId: 'c', networks: [on('shut')] }));
        const peer = await manager.attach(request({ containerId: 'p', networks: [on('shut')] }));
        const server = await agentIn(peer);
        const host = await NetnsAgent.start(null);
        agents.push(host);
        await server.listen('tcp', '0.0.0.0', 80, 'peer');
        await host.listen('tcp', '0.0.0.0', 7000, 'host');
        const client = await agentIn(sandbox);
        const { gateway, ipAddress } = endpointOn(sandbox, 'shut');
        assert.equal(await client.ask('tcp', endpointOn(peer, 'shut').ipAddress, 80), `peer ${ipAddress}`);
        assert.notEqual(await client.ask('tcp', gateway, 7000, 300), `host ${ipAddress}`);
        const report = await manager.egressReport('c');
        assert.ok((report?.blockedPackets ?? 0) > 0);
        assert.equal(report?.recent[0]?.destination, `${gateway}:7000/tcp`);
        await manager.detach('c');
        assert.notEqual(
          await client.ask('tcp', gateway, 7000, 300),
          `host ${ipAddress}`,
          'what shares its namespace and lives on',
        );
        await assert.rejects(
          manager.create({ Name: 'x', Driver: 'macvlan', Options: { 'mydock.egress': 'none' } }),
          /passes no firewall/,
        );
      });
    });
  });

  it('nothing is left of a daemon that is killed at any time', async () => {
    const home = mkdtempSync(join(directory, 'victim-'));
    const env: NodeJS.ProcessEnv = { ...process.env, [VICTIM]: home };
    for (let round = 0; round < 12; round++) {
      const child = spawn(process.execPath, [import.meta.filename], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await sleep(40 + Math.random() * 160);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const own = openDatabase(join(home, 'db'), [NETWORK_MIGRATIONS]);
    const manager = await NetworkManager.open({ database: own, instance: '', execRoot: home });
    await manager.reconcile(new Set());
    assert.doesNotMatch(run('ip', '-o', 'link'), /veth/);
    for (const { Name } of manager.list()) {
      if (!['bridge', 'host', 'none'].includes(Name)) await manager.remove(Name);
    }
    await manager.destroy();
    assert.deepEqual(readdirSync(join(home, 'netns')), []);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${home}/netns`));
    assertNothingLeft();
    own.close();
  });
}
