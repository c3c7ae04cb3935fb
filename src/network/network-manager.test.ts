/**
 * The network on a real kernel. The file runs itself again in a network namespace of its own, which stands for the
 * host; further namespaces are other hosts and containers. `ip` and `nft` only check what was made.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../base/database.ts';
import { openDatabase } from '../base/database.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import { addressBytes, parseAddress } from './ip-address.ts';
import type { AttachRequest, Endpoint, PortMapping, Sandbox } from './model.ts';
import { NETLINK_ROUTE, NetlinkConnection, NetlinkRequest } from './netlink/connection.ts';
import * as route from './netlink/route.ts';
import { NetnsAgent } from './netns-agent-fixture.ts';
import { NetnsPool, removeNetns } from './netns-pool.ts';
import type { NetworkManagerOptions } from './network-manager.ts';
import { NETWORK_MIGRATIONS, NetworkManager } from './network-manager.ts';
import { OWN_NETNS } from './own-netns-fixture.ts';

const BRIDGE_NETFILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';
const NSFS_MAGIC = 0x6e736673;
const MNT_DETACH = 2;
if (OWN_NETNS.inside) suite();
else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

/** The test's own cables: two ends, each up with an address. */
async function connect(netnsPath: string, name: string, ours: string, theirs: string): Promise<void> {
  const host = new NetlinkConnection(NETLINK_ROUTE, null);
  const other = new NetlinkConnection(NETLINK_ROUTE, netnsPath);
  const netnsFd = openSync(netnsPath, 'r');
  const macAddress = Buffer.concat([Buffer.from([0x02, 0x99]), addressBytes(parseAddress(theirs))]);
  const create = new NetlinkRequest();
  route.createVeth(create, { name, master: 0, mtu: 1500, peer: { name: 'eth0', netnsFd, macAddress } });
  route.setLinkUp(create, { index: 0, name });
  host.requestSync(create);
  closeSync(netnsFd);
  const address = new NetlinkRequest();
  route.addAddress(address, {
    index: addon().interfaceIndex(name),
    address: addressBytes(parseAddress(ours)),
    prefixLength: 24,
  });
  host.requestSync(address);
  const query = new NetlinkRequest();
  route.getLink(query, 'eth0');
  const [link] = route.parseLinks(other.requestSync(query));
  assert.ok(link);
  const inside = new NetlinkRequest();
  route.setLinkUp(inside, link);
  route.addAddress(inside, {
    index: link.index,
    address: addressBytes(parseAddress(theirs)),
    prefixLength: 24,
  });
  // So that it could reach containers directly, if it were let.
  route.addDefaultRoute(inside, link.index, addressBytes(parseAddress(ours)));
  other.requestSync(inside);
  host.closeNow();
  other.closeNow();
}

function suite(): void {
  const HOST = '192.0.2.1';
  const OUTSIDE = '192.0.2.2';
  let directory = '';
  let database: Database;
  let outside: NetnsAgent;
  let local: NetnsAgent;
  const agents: NetnsAgent[] = [];
  const options = (): NetworkManagerOptions => ({ database, instance: '', execRoot: directory });
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' });
  const mappings = (...list: [number, number, ('tcp' | 'udp')?, string?][]): PortMapping[] =>
    list.map(([hostPort, containerPort, protocol = 'tcp', hostIp = '']) => ({
      containerPort,
      protocol,
      hostIp,
      hostPort,
    }));

  /** Attaches a container and starts an agent in it. */
  async function container(
    manager: NetworkManager,
    containerId: string,
    ports: PortMapping[] = [],
    networks: AttachRequest['networks'] = [{ network: 'bridge', settings: {} }],
  ): Promise<{ sandbox: Sandbox; endpoint: Endpoint; agent: NetnsAgent }> {
    const sandbox = await manager.attach(request({ containerId, ports, networks }));
    const agent = await NetnsAgent.start(sandbox.netnsPath);
    agents.push(agent);
    return { sandbox, endpoint: only(sandbox), agent };
  }

  const only = ({ endpoints: [endpoint] }: Sandbox): Endpoint => {
    assert.ok(endpoint);
    return endpoint;
  };
  const request = (wanted: Partial<AttachRequest> & { containerId: string }): AttachRequest => ({
    containerName: `name-${wanted.containerId}`,
    hostname: '',
    networks: [{ network: 'bridge', settings: {} }],
    ports: [],
    dns: { servers: [], search: [], options: [] },
    egress: null,
    ...wanted,
  });

  async function withManager(body: (manager: NetworkManager) => Promise<void>): Promise<void> {
    const manager = await NetworkManager.open(options());
    try {
      await manager.reconcile(new Set());
      await body(manager);
    } finally {
      for (const agent of agents.splice(0)) await agent.stop();
      await manager.reconcile(new Set());
      await manager.destroy();
    }
  }

  before(async () => {
    log.level = 'fatal';
    directory = mkdtempSync(join(tmpdir(), 'mydock-network-'));
    database = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
    run('ip', 'link', 'set', 'lo', 'up');
    // A new namespace starts with what the host has.
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
    const path = join(directory, 'outside');
    await addon().createNetns(path);
    await connect(path, 'up0', HOST, OUTSIDE);
    outside = await NetnsAgent.start(path);
    local = await NetnsAgent.start(null);
  });

  after(async () => {
    await outside.stop();
    await local.stop();
    removeNetns(join(directory, 'outside'));
    database.close();
    rmSync(directory, { recursive: true });
  });

  describe('namespaces made ahead', () => {
    it('are not handed out once somebody has unmounted or removed them', async () => {
      const folder = mkdtempSync(join(directory, 'pool-'));
      const pool = new NetnsPool(folder, 2);
      const ready = (): string[] =>
        readdirSync(folder)
          .map((name) => join(folder, name))
          .filter((path) => statfsSync(path).type === NSFS_MAGIC);
      pool.refill();
      while (ready().length < 2) await sleep(10);
      // What the last was made for notes it a moment later.
      await sleep(50);
      const [unmounted = '', removed = ''] = ready();
      addon().unmount(unmounted, MNT_DETACH);
      removeNetns(removed);
      const path = await pool.take();
      try {
        assert.equal(statfsSync(path).type, NSFS_MAGIC);
      } finally {
        removeNetns(path);
        await pool.close();
      }
    });
  });

  describe('the default bridge', () => {
    it('is made and repaired, and leaves nothing when destroyed', async () => {
      const first = await NetworkManager.open(options());
      assert.match(
        run('ip', '-o', '-4', 'addr', 'show', 'mydock0'),
        /172\.17\.0\.1\/16 brd 172\.17\.255\.255/,
      );
      assert.match(run('ip', 'link', 'show', 'mydock0'), /MULTICAST,UP/);
      assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8'), '1\n');
      assert.equal(readFileSync('/proc/sys/net/ipv4/conf/mydock0/route_localnet', 'utf8'), '1\n');
      const before = run('nft', 'list', 'table', 'inet', 'mydock');
      await first.close();
      run('ip', 'addr', 'flush', 'dev', 'mydock0');
      run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'mydock0');
      run('nft', 'delete', 'chain', 'inet', 'mydock', 'forward');
      const second = await NetworkManager.open(options());
      assert.match(run('ip', '-o', '-4', 'addr', 'show', 'mydock0'), /172\.17\.0\.1\/16/);
      assert.doesNotMatch(run('ip', '-o', '-4', 'addr', 'show', 'mydock0'), /10\.99/);
      assert.equal(run('nft', 'list', 'table', 'inet', 'mydock'), before);
      await second.destroy();
      assert.equal(run('nft', 'list', 'ruleset'), '');
      assert.doesNotMatch(run('ip', 'link'), /mydock0/);
      assert.deepEqual(readdirSync(join(directory, 'netns')), []);
    });

    it('says what nft understands', async () => {
      await withManager(async (manager) => {
        await container(manager, 'a', mappings([8080, 80], [53, 5353, 'udp', HOST]));
        const rules = run('nft', 'list', 'table', 'inet', 'mydock');
        for (const expected of [
          'elements = { tcp . 8080 : 172.17.0.2 . 80 }',
          `elements = { ${HOST} . udp . 53 : 172.17.0.2 . 5353 }`,
          'elements = { "up0" }',
          'elements = { "mydock0" }',
        ]) {
          assert.ok(rules.includes(expected), `${expected}\n${rules}`);
        }
      });
    });

    it('takes the next subnet where 172.17.0.0/16 is used, keeps it, and obeys --bip', async () => {
      run('ip', 'addr', 'add', '172.17.9.9/24', 'dev', 'up0');
      const own = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
      const subnets: string[] = [];
      for (const bip of [undefined, undefined, '10.9.0.1/24']) {
        const manager = await NetworkManager.open({ ...options(), database: own, instance: 'b', bip });
        subnets.push(JSON.stringify(manager.inspect('bridge').IPAM.Config));
        await manager.destroy();
        if (subnets.length === 1) run('ip', 'addr', 'del', '172.17.9.9/24', 'dev', 'up0');
      }
      const second = '[{"Subnet":"172.18.0.0/16","Gateway":"172.18.0.1"}]';
      assert.deepEqual(subnets, [second, second, '[{"Subnet":"10.9.0.0/24","Gateway":"10.9.0.1"}]']);
      await assert.rejects(NetworkManager.open({ ...options(), database: own, bip: '10.9.0.0/24' }), {
        kind: 'InvalidParameter',
      });
      await assert.rejects(NetworkManager.open({ ...options(), database: own, instance: 'A/b' }), /instance/);
      own.close();
    });

    it('has the range, IPv6, MTU and gateways that the daemon was told', async () => {
      const own = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
      const manager = await NetworkManager.open({
        ...options(),
        database: own,
        bip: '10.9.0.1/24',
        fixedCidr: '10.9.0.64/26',
        defaultGateway: '10.9.0.254',
        ipv6: true,
        fixedCidrV6: 'fd09::/64',
        mtu: 1400,
        icc: false,
      });
      const { netnsPath, endpoints } = await manager.attach(request({ containerId: 'a' }));
      assert.equal(endpoints[0]?.ipAddress, '10.9.0.64');
      assert.equal(endpoints[0]?.ipv6Address, 'fd09::2');
      const inside = (...args: string[]) => run('nsenter', `--net=${netnsPath}`, 'ip', ...args);
      assert.match(inside('route'), /default via 10\.9\.0\.254 dev eth0/);
      assert.match(inside('-6', 'route'), /default via fd09::1 dev eth0/);
      assert.match(inside('link', 'show', 'eth0'), /mtu 1400/);
      const { IPAM, Options, EnableIPv6 } = manager.inspect('bridge');
      assert.equal(EnableIPv6, true);
      assert.equal(Options['com.docker.network.bridge.enable_icc'], 'false');
      assert.deepEqual(IPAM.Config?.[0]?.IPRange, '10.9.0.64/26');
      await assert.rejects(
        NetworkManager.open({ ...options(), database: own, bip: '10.9.0.1/24', fixedCidr: '10.8.0.0/26' }),
        /--fixed-cidr 10\.8\.0\.0\/26: it is not in the bridge's subnet/,
      );
      await manager.reconcile(new Set());
      await manager.destroy();
      own.close();
    });

    it('refuses a bridge name that is something else', async () => {
      run('ip', 'link', 'add', 'mydock0', 'type', 'veth', 'peer', 'name', 'mydock0p');
      await assert.rejects(NetworkManager.open(options()), /mydock0 exists and is not a bridge/);
      run('ip', 'link', 'del', 'mydock0');
    });

    it('is listed with stable IDs', async () => {
      await withManager(async (manager) => {
        const { endpoint } = await container(manager, 'a');
        const ids = manager.list().map(({ Name, Id, Driver }) => `${Name} ${Driver} ${Id.length}`);
        assert.deepEqual(ids, ['bridge bridge 64', 'host host 64', 'none null 64']);
        const bridge = manager.inspect(endpoint.networkId.slice(0, 12));
        assert.deepEqual(bridge.Containers['a'], {
          Name: 'name-a',
          EndpointID: endpoint.endpointId,
          MacAddress: endpoint.macAddress,
          IPv4Address: `${endpoint.ipAddress}/16`,
          IPv6Address: '',
        });
        assert.throws(() => manager.inspect('nosuch'), {
          kind: 'NotFound',
          message: 'network nosuch not found',
        });
      });
    });
  });

  describe('attached containers', () => {
    it('are told to have a resolver before it is there', async () => {
      await withManager(async (manager) => {
        const { Id } = await manager.create({ Name: 'named' });
        for (const [network, expected] of [
          ['named', true],
          ['bridge', false],
        ] as const) {
          const told: Sandbox[] = [];
          const networks = [{ network, settings: {} }];
          const made = await manager.attach(request({ containerId: 'early', networks }), (early) =>
            told.push(early),
          );
          assert.deepEqual([told.map(({ dns }) => dns), made.dns], [[expected], expected], network);
          await manager.detach('early');
        }
        await manager.remove(Id);
      });
    });

    it('have an address of their own, reach each other, the host and the outside, and keep to themselves', async () => {
      await withManager(async (manager) => {
        const a = await container(manager, 'a');
        const b = await container(manager, 'b');
        assert.equal(a.endpoint.gateway, '172.17.0.1');
        assert.notEqual(a.endpoint.ipAddress, b.endpoint.ipAddress);
        const hex = a.endpoint.ipAddress.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
        assert.equal(a.endpoint.macAddress, ['02', '42', ...hex].join(':'));
        const link = run('nsenter', `--net=${a.sandbox.netnsPath}`, 'ip', 'addr', 'show', 'eth0');
        assert.match(
          link,
          new RegExp(
            `UP,LOWER_UP.*link/ether ${a.endpoint.macAddress}.*inet ${a.endpoint.ipAddress}/16`,
            's',
          ),
        );
        assert.doesNotMatch(link, /inet6/);

        await b.agent.listen('tcp', '0.0.0.0', 80, 'b');
        await outside.listen('tcp', '0.0.0.0', 7000, 'outside');
        await local.listen('tcp', '0.0.0.0', 7001, 'host');
        assert.equal(await a.agent.ask('tcp', b.endpoint.ipAddress, 80), `b ${a.endpoint.ipAddress}`);
        assert.equal(await a.agent.ask('tcp', OUTSIDE, 7000), `outside ${HOST}`, 'masqueraded');
        assert.equal(await a.agent.ask('tcp', a.endpoint.gateway, 7001), `host ${a.endpoint.ipAddress}`);
        assert.equal(await local.ask('tcp', b.endpoint.ipAddress, 80), 'b 172.17.0.1');
        assert.equal(await outside.ask('tcp', b.endpoint.ipAddress, 80, 300), 'timeout', 'not published');
      });
    });

    it('take a wanted MAC address, and no wanted IP address', async () => {
      await withManager(async (manager) => {
        const networks = [{ network: 'bridge', settings: { MacAddress: '02:00:00:00:00:07' } }];
        const first = await manager.attach(request({ containerId: 'a', networks }));
        assert.equal(only(first).macAddress, '02:00:00:00:00:07');
        const link = run('nsenter', `--net=${first.netnsPath}`, 'ip', 'link', 'show', 'eth0');
        assert.match(link, /02:00:00:00:00:07/);
        await assert.rejects(manager.attach(request({ containerId: 'a' })), { kind: 'Conflict' });
        const settings = { IPAMConfig: { IPv4Address: '172.17.5.5' } };
        await assert.rejects(
          manager.attach(request({ containerId: 'b', networks: [{ network: 'bridge', settings }] })),
          /user specified IP address is supported on user defined networks only/,
        );
        assert.deepEqual(Object.keys(manager.inspect('bridge').Containers), ['a']);
      });
    });

    it('get addresses one after the other, round the subnet', async () => {
      const own = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
      const manager = await NetworkManager.open({
        ...options(),
        database: own,
        instance: 'c',
        bip: '10.9.0.1/29',
      });
      const attach = async (containerId: string) =>
        only(await manager.attach(request({ containerId }))).ipAddress.slice(7);
      const given = [await attach('a'), await attach('b')];
      await manager.detach('a');
      given.push(await attach('c'), await attach('d'), await attach('e'), await attach('f'));
      assert.deepEqual(given, ['2', '3', '4', '5', '6', '2']);
      await assert.rejects(attach('g'), { kind: 'Unavailable' });
      await manager.reconcile(new Set());
      await manager.destroy();
      own.close();
    });

    it('of network none have a loopback only', async () => {
      await withManager(async (manager) => {
        const networks = [{ network: 'none', settings: {} }];
        const { netnsPath, endpoints } = await manager.attach(request({ containerId: 'n', networks }));
        assert.deepEqual(endpoints, []);
        const links = run('nsenter', `--net=${netnsPath}`, 'ip', '-o', 'link', 'show', 'up');
        assert.match(links, /^1: lo: .*UP.*\n$/);
        await manager.detach('n');
        await manager.detach('n');
        assert.equal(existsSync(netnsPath), false);
      });
    });
  });

  describe('published ports', () => {
    for (const callIptables of ['0', '1']) {
      const noSuchSwitch =
        existsSync(BRIDGE_NETFILTER) || callIptables === '0' ? false : 'no br_netfilter here';
      it(`are reached from everywhere (bridge-nf-call-iptables ${callIptables})`, {
        skip: noSuchSwitch,
      }, async () => {
        if (existsSync(BRIDGE_NETFILTER)) writeFileSync(BRIDGE_NETFILTER, callIptables);
        await withManager(async (manager) => {
          const web = await container(manager, 'web', mappings([8080, 80], [5300, 53, 'udp']));
          const other = await container(manager, 'other');
          await web.agent.listen('tcp', '0.0.0.0', 80, 'web');
          await web.agent.listen('udp', '0.0.0.0', 53, 'dns');
          for (const [protocol, port, name] of [
            ['tcp', 8080, 'web'],
            ['udp', 5300, 'dns'],
          ] as const) {
            const from = async (agent: NetnsAgent, address: string) => agent.ask(protocol, address, port);
            assert.equal(await from(outside, HOST), `${name} ${OUTSIDE}`, 'source kept');
            assert.equal(await from(local, HOST), `${name} ${HOST}`);
            assert.equal(await from(local, '127.0.0.1'), `${name} 172.17.0.1`);
            assert.equal(await from(local, '::1'), `${name} 172.17.0.1`, 'proxied');
            assert.equal(await from(local, '172.17.0.1'), `${name} 172.17.0.1`);
            assert.match(await from(other.agent, HOST), new RegExp(`^${name} 172.17.0`), 'neighbour');
            assert.match(await from(other.agent, '172.17.0.1'), new RegExp(`^${name} 172.17.0`), 'gateway');
            assert.match(await from(web.agent, HOST), new RegExp(`^${name} 172.17.0`), 'itself');
          }
          assert.equal(
            await outside.ask('tcp', web.endpoint.ipAddress, 80, 300),
            'timeout',
            'past the host port',
          );
        });
      });
    }

    it('of one address are reached there only', async () => {
      await withManager(async (manager) => {
        const web = await container(
          manager,
          'web',
          mappings([8080, 80, 'tcp', '127.0.0.1'], [8081, 80, 'tcp', HOST], [8082, 80, 'tcp', '::1']),
        );
        await web.agent.listen('tcp', '0.0.0.0', 80, 'web');
        assert.equal(await local.ask('tcp', '127.0.0.1', 8080), 'web 172.17.0.1');
        assert.equal(await local.ask('tcp', HOST, 8080), 'ECONNREFUSED');
        assert.equal(await outside.ask('tcp', HOST, 8080), 'ECONNREFUSED');
        assert.equal(await outside.ask('tcp', HOST, 8081), `web ${OUTSIDE}`);
        assert.equal(await local.ask('tcp', '127.0.0.1', 8081), 'ECONNREFUSED');
        assert.equal(await local.ask('tcp', '::1', 8082), 'web 172.17.0.1');
        assert.equal(await local.ask('tcp', '127.0.0.1', 8082), 'ECONNREFUSED');
        await assert.rejects(
          manager.attach(request({ containerId: 'x', ports: mappings([1, 1, 'tcp', '203.0.113.9']) })),
          /listen tcp4 203\.0\.113\.9:1: bind: cannot assign requested address$/,
        );
      });
    });

    it('do not open the loopback of the host to containers and neighbours', async () => {
      await withManager(async (manager) => {
        const evil = await container(manager, 'evil');
        const web = await container(manager, 'web', mappings([8080, 80, 'tcp', '127.0.0.1']));
        await web.agent.listen('tcp', '0.0.0.0', 80, 'web');
        await local.listen('tcp', '127.0.0.1', 7999, 'secret');
        // An answer might be lost for other reasons: what counts is that no such packet gets past prerouting.
        const watch = `table inet watch {
          chain in { type filter hook input priority 0; iifname != "lo" ip daddr 127.0.0.0/8 counter; }
          chain on { type filter hook forward priority -10; ct original ip daddr 127.0.0.0/8 counter; }
        }`;
        run('nft', watch);
        for (const [path, gateway, agent] of [
          [evil.sandbox.netnsPath, '172.17.0.1', evil.agent],
          [join(directory, 'outside'), HOST, outside],
        ] as const) {
          const script = `echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
            ip route del local 127.0.0.1 table local; ip route del local 127.0.0.0/8 table local
            ip route add 127.0.0.1/32 via ${gateway}`;
          run('nsenter', `--net=${path}`, 'sh', '-c', script);
          writeFileSync('/proc/sys/net/ipv4/conf/up0/route_localnet', '1');
          assert.equal(await agent.ask('tcp', '127.0.0.1', 7999, 300), 'timeout');
          assert.equal(await agent.ask('tcp', '127.0.0.1', 8080, 300), 'timeout');
          run('nsenter', `--net=${path}`, 'ip', 'route', 'del', '127.0.0.1/32');
        }
        const counters = run('nft', 'list', 'table', 'inet', 'watch').match(/counter packets \d+/g);
        run('nft', 'delete', 'table', 'inet', 'watch');
        assert.deepEqual(counters, ['counter packets 0', 'counter packets 0']);
      });
    });

    it("that are taken give Docker's errors and leave nothing of the attempt", async () => {
      await withManager(async (manager) => {
        await container(manager, 'a', mappings([8080, 80]));
        const foreign = createServer().listen(8090, '127.0.0.1').unref();
        await new Promise((resolve) => foreign.once('listening', resolve));
        const before = {
          namespaces: readdirSync(join(directory, 'netns')).length,
          rules: run('nft', 'list', 'ruleset'),
          containers: Object.keys(manager.inspect('bridge').Containers),
        };
        const attempt = (ports: PortMapping[]) =>
          manager.attach(request({ containerId: 'b', containerName: 'second', ports }));
        const prefix =
          '^driver failed programming external connectivity on endpoint second \\([0-9a-f]{64}\\): ';
        await assert.rejects(
          attempt(mappings([9000, 80], [8080, 80])),
          new RegExp(
            `${prefix}Bind for 0\\.0\\.0\\.0:8080 failed: port is already allocated$`.replace(
              '^',
              'Internal: ',
            ),
          ),
        );
        await assert.rejects(
          attempt(mappings([9000, 80], [8080, 80, 'tcp', '127.0.0.1'])),
          /Bind for 127\.0\.0\.1:8080 failed: port is already allocated$/,
        );
        await assert.rejects(
          attempt(mappings([9000, 80], [8090, 80])),
          /listen tcp4 0\.0\.0\.0:8090: bind: address already in use$/,
        );
        await sleep(1500);
        assert.deepEqual(
          {
            namespaces: readdirSync(join(directory, 'netns')).length,
            rules: run('nft', 'list', 'ruleset'),
            containers: Object.keys(manager.inspect('bridge').Containers),
          },
          before,
        );
        assert.equal((run('ip', '-o', 'link').match(/: veth/g) ?? []).length, 1);
        // 9000 was given back each time, the same number under UDP is another port.
        await attempt(mappings([9000, 80], [8080, 80, 'udp']));
        foreign.close();
      });
    });

    it('are held against other programs, and freed at the end', async () => {
      await withManager(async (manager) => {
        await manager.attach(request({ containerId: 'a', ports: mappings([8080, 80], [8081, 81, 'udp']) }));
        await assert.rejects(local.listen('tcp', '0.0.0.0', 8080, 'x'), /EADDRINUSE/);
        await assert.rejects(local.listen('tcp', '127.0.0.1', 8080, 'x'), /EADDRINUSE/);
        await assert.rejects(local.listen('udp', '127.0.0.1', 8081, 'x'), /EADDRINUSE/);
        await manager.detach('a');
        await manager.detach('a');
        await local.listen('udp', '0.0.0.0', 8081, 'free');
        assert.equal(await local.ask('udp', '127.0.0.1', 8081), 'free 127.0.0.1');
        assert.equal(await outside.ask('tcp', HOST, 8080), 'ECONNREFUSED');
      });
    });

    it("are chosen from a range or the kernel's own range, the same number for both families", async () => {
      await withManager(async (manager) => {
        const range = { ...mappings([9100, 80])[0], hostPortEnd: 9101 } as PortMapping;
        const given: number[] = [];
        for (const containerId of ['a', 'b']) {
          const { ports } = await manager.attach(request({ containerId, ports: [range] }));
          given.push(...ports.map(({ hostPort }) => hostPort));
        }
        assert.deepEqual(given, [9100, 9100, 9101, 9101]);
        const third = request({ containerId: 'c' });
        await assert.rejects(manager.attach({ ...third, ports: [range] }), /all ports are allocated/);
        const { ports } = await manager.attach({
          ...third,
          ports: mappings([0, 80], [0, 81], [0, 80, 'udp']),
        });
        const numbers = ports.map(({ hostPort }) => hostPort);
        assert.deepEqual(
          ports.map(({ hostIp }) => hostIp),
          ['0.0.0.0', '::', '0.0.0.0', '::', '0.0.0.0', '::'],
        );
        assert.equal(numbers[0], numbers[1]);
        assert.notEqual(numbers[0], numbers[2]);
        for (const number of numbers) assert.ok(number >= 32768 && number <= 60999);
      });
    });

    it('are refused early where no host could publish them', async () => {
      await withManager(async (manager) => {
        const good = mappings([8080, 80])[0] as PortMapping;
        manager.validatePorts([good]);
        for (const wrong of [
          { containerPort: 0 },
          { containerPort: 70000 },
          { hostPort: -1 },
          { hostPort: 65536 },
          { hostPortEnd: 8000 },
          { hostIp: 'localhost' },
        ]) {
          assert.throws(() => manager.validatePorts([{ ...good, ...wrong }]), { kind: 'InvalidParameter' });
        }
      });
    });

    it('come back with all rules after somebody flushed them', async () => {
      await withManager(async (manager) => {
        const a = await container(manager, 'a', mappings([8080, 80]));
        await a.agent.listen('tcp', '0.0.0.0', 80, 'a');
        run('nft', 'flush', 'ruleset');
        assert.equal(
          await local.ask('tcp', '127.0.0.1', 8080),
          'a 172.17.0.1',
          'carried by the daemon meanwhile',
        );
        const b = await container(manager, 'b', mappings([8081, 80]));
        await b.agent.listen('tcp', '0.0.0.0', 80, 'b');
        assert.equal(await outside.ask('tcp', HOST, 8080), `a ${OUTSIDE}`);
        assert.equal(await outside.ask('tcp', HOST, 8081), `b ${OUTSIDE}`);
      });
    });

    it('forget UDP flows to a container that is gone', async () => {
      await withManager(async (manager) => {
        const first = await container(manager, 'a', mappings([5300, 53, 'udp']));
        await first.agent.listen('udp', '0.0.0.0', 53, 'first');
        assert.equal(await outside.ask('udp', HOST, 5300), `first ${OUTSIDE}`);
        const tracked = () =>
          readFileSync('/proc/net/nf_conntrack', 'utf8').includes(`src=${first.endpoint.ipAddress} `);
        if (existsSync('/proc/net/nf_conntrack')) assert.equal(tracked(), true);
        await manager.detach('a');
        if (existsSync('/proc/net/nf_conntrack')) assert.equal(tracked(), false);
      });
    });
  });

  describe('across deaths of the daemon', () => {
    it('live containers keep address and ports, dead ones leave nothing', async () => {
      const first = await NetworkManager.open(options());
      const live = await container(first, 'live', mappings([8080, 80], [5300, 53, 'udp']));
      const dead = await container(first, 'dead', mappings([8081, 80]));
      await first.attach(request({ containerId: 'bare', networks: [] }));
      await live.agent.listen('tcp', '0.0.0.0', 80, 'live');
      await live.agent.listen('udp', '0.0.0.0', 53, 'dns');
      // What a SIGKILL does to the process's sockets; nothing else is undone.
      await first.close();
      assert.equal(await outside.ask('tcp', HOST, 8080), `live ${OUTSIDE}`);
      assert.equal(await local.ask('tcp', '127.0.0.1', 8080), 'live 172.17.0.1');
      assert.equal(await local.ask('udp', '127.0.0.1', 5300), 'dns 172.17.0.1');

      writeFileSync(join(directory, 'netns', 'leftover'), '');
      const second = await NetworkManager.open(options());
      assert.equal(await outside.ask('tcp', HOST, 8080), `live ${OUTSIDE}`);
      const endpoints = await second.reconcile(new Set(['live']));
      assert.deepEqual([...endpoints], [['live', live.sandbox]]);
      assert.equal(await outside.ask('tcp', HOST, 8080), `live ${OUTSIDE}`);
      assert.equal(await local.ask('tcp', '::1', 8080), 'live 172.17.0.1');
      await assert.rejects(local.listen('tcp', '0.0.0.0', 8080, 'x'), /EADDRINUSE/);
      assert.doesNotMatch(run('nft', 'list', 'ruleset'), /8081/);
      assert.doesNotMatch(run('ip', 'link'), new RegExp(dead.endpoint.hostInterface));
      assert.equal(existsSync(dead.sandbox.netnsPath), false);
      await sleep(200);
      const files = readdirSync(join(directory, 'netns')).filter(
        (name) => !live.sandbox.netnsPath.endsWith(name),
      );
      assert.equal(files.includes('leftover'), false);
      assert.ok(files.length <= 2, 'only namespaces made ahead');
      assert.deepEqual([...(await second.reconcile(new Set(['live']))).keys()], ['live']);

      for (const agent of agents.splice(0)) await agent.stop();
      await assert.rejects(second.destroy(), { kind: 'Conflict' });
      await second.detach('live');
      await second.destroy();
      assert.deepEqual(readdirSync(join(directory, 'netns')), []);
      assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(`${directory}/netns`));
    });

    it('a bridge or a cable that went away is made again', async () => {
      const first = await NetworkManager.open(options());
      const a = await container(first, 'a', mappings([8080, 80]));
      const b = await container(first, 'b');
      await a.agent.listen('tcp', '0.0.0.0', 80, 'a');
      await b.agent.listen('tcp', '0.0.0.0', 80, 'b');
      await first.close();
      run('ip', 'link', 'del', 'mydock0');
      run('ip', 'link', 'del', b.endpoint.hostInterface);
      const second = await NetworkManager.open(options());
      await second.reconcile(new Set(['a', 'b']));
      assert.equal(await outside.ask('tcp', HOST, 8080), `a ${OUTSIDE}`);
      assert.equal(await a.agent.ask('tcp', b.endpoint.ipAddress, 80), `b ${a.endpoint.ipAddress}`);
      for (const agent of agents.splice(0)) await agent.stop();
      await second.reconcile(new Set());
      await second.destroy();
    });
  });

  it('several daemons live side by side', async () => {
    const own = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
    await withManager(async (manager) => {
      const second = await NetworkManager.open({
        ...options(),
        database: own,
        instance: 'two',
        execRoot: join(directory, 'two'),
      });
      const a = await container(manager, 'a', mappings([8080, 80]));
      const b = await container(second, 'b', mappings([8081, 80]));
      await a.agent.listen('tcp', '0.0.0.0', 80, 'a');
      await b.agent.listen('tcp', '0.0.0.0', 80, 'b');
      assert.equal(b.endpoint.ipAddress, '172.18.0.2');
      assert.equal(await outside.ask('tcp', HOST, 8080), `a ${OUTSIDE}`);
      assert.equal(await outside.ask('tcp', HOST, 8081), `b ${OUTSIDE}`);
      assert.match(await a.agent.ask('tcp', HOST, 8081), /^b 172\.18\.0\.1$/);
      assert.equal(await a.agent.ask('tcp', b.endpoint.ipAddress, 80, 300), 'timeout');
      await assert.rejects(
        second.attach(request({ containerId: 'c', ports: mappings([8080, 80]) })),
        /listen tcp4 0\.0\.0\.0:8080: bind: address already in use/,
      );
      await second.reconcile(new Set());
      await second.destroy();
    });
    own.close();
  });

  it('a host that was no router does not become one', async () => {
    const own = openDatabase(':memory:', [NETWORK_MIGRATIONS]);
    const path = join(directory, 'third');
    await addon().createNetns(path);
    await connect(path, 'up1', '198.51.100.1', '198.51.100.2');
    const third = await NetnsAgent.start(path);
    await third.listen('tcp', '0.0.0.0', 80, 'third');
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    assert.equal(await outside.ask('tcp', '198.51.100.2', 80), `third ${OUTSIDE}`, 'the test can tell');
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
    for (const _ of ['first start', 'second start']) {
      const manager = await NetworkManager.open({ ...options(), database: own });
      assert.equal(await outside.ask('tcp', '198.51.100.2', 80, 300), 'timeout');
      await manager.destroy();
    }
    await third.stop();
    removeNetns(path);
    own.close();
  });
}
