/**
 * Links on a real kernel. The file runs itself again in network and mount namespaces of its own, which stand for the
 * host; further namespaces are containers. `ip` only checks what was made, and makes what users make.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { addon } from '../../native/addon.ts';
import { formatSubnet } from '../ip-address.ts';
import type { NetworkRecord } from '../model.ts';
import { NetnsAgent } from '../netns-agent-fixture.ts';
import { removeNetns } from '../netns-pool.ts';
import { OWN_NETNS } from '../own-netns-fixture.ts';
import type { EndpointPlan } from './network-links.ts';
import { NetworkLinks } from './network-links.ts';

if (OWN_NETNS.inside) suite();
else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' });
}

/** Whether the kernel has links of this kind: some are built without VLANs or ipvlan. */
function kernelHas(kind: 'vlan' | 'ipvlan' | 'macvlan'): boolean {
  run('ip', 'link', 'add', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1');
  const details = kind === 'vlan' ? ['id', '7'] : [];
  const args = ['link', 'add', 'link', 'probe0', 'name', 'probe2', 'type', kind, ...details];
  const result = spawnSync('ip', args);
  run('ip', 'link', 'delete', 'probe0');
  return result.status === 0;
}

const ID = 'c0ffee00c0ffee00'.repeat(4);
const OTHER_ID = 'decaf000decaf000'.repeat(4);

function network(changes: Partial<NetworkRecord> = {}): NetworkRecord {
  const pool = { range: '', auxiliary: {}, configured: true };
  const ipv6 = changes.ipv6 ?? false;
  return {
    id: ID,
    name: 'net',
    created: '2026-01-01T00:00:00Z',
    driver: 'bridge',
    internal: false,
    attachable: false,
    ipv4: true,
    ipv6,
    pools: [
      { ...pool, subnet: '10.9.0.0/24', gateway: '10.9.0.1' },
      ...(ipv6 ? [{ ...pool, subnet: 'fd09::/64', gateway: 'fd09::1' }] : []),
    ],
    ipamOptions: {},
    options: {},
    labels: {},
    configOnly: false,
    configFrom: '',
    egress: null,
    hostInterface: 'br-test',
    ownsHostInterface: true,
    ...changes,
  };
}

/** The endpoint with the last number `n` in its addresses. */
function plan(net: NetworkRecord, n: number, changes: Partial<EndpointPlan> = {}): EndpointPlan {
  const bridged = net.driver === 'bridge';
  return {
    endpointId: `e${n}`,
    hostInterface: bridged ? `vethtest${n}` : '',
    containerInterface: 'eth0',
    macAddress: `02:42:0a:09:00:0${n}`,
    ipv4: { address: `10.9.0.${n}`, prefixLength: 24 },
    ...(net.ipv6 ? { ipv6: { address: `fd09::${n}`, prefixLength: 64 } } : {}),
    linkLocal: [],
    defaultRoutes: bridged ? { ipv4: '10.9.0.1', ...(net.ipv6 ? { ipv6: 'fd09::1' } : {}) } : {},
    options: {},
    ...changes,
  };
}

function suite(): void {
  let directory = '';
  let links: NetworkLinks;
  let namespaces = 0;
  const made: string[] = [];
  const agents: NetnsAgent[] = [];

  const sysctl = (path: string): string => readFileSync(`/proc/sys/net/${path}`, 'utf8').trim();
  const inside = (netnsPath: string, ...args: string[]): string =>
    run('nsenter', `--net=${netnsPath}`, ...args);
  /** `10.9.0.1/24`, sorted; those of the loopback left out. */
  const addresses = (name: string, netnsPath?: string): string[] => {
    const args = ['ip', '-json', 'address', 'show', 'dev', name];
    const text = netnsPath === undefined ? run('ip', ...args.slice(1)) : inside(netnsPath, ...args);
    const [link] = JSON.parse(text) as { addr_info: Record<string, string | number | boolean>[] }[];
    return (link?.addr_info ?? [])
      .map((entry) => {
        const doubtful = entry['tentative'] === true ? ' tentative' : '';
        return `${entry['local']}/${entry['prefixlen']}${doubtful}`;
      })
      .sort();
  };
  const linkNames = (): string[] =>
    (JSON.parse(run('ip', '-json', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname).sort();
  const macOf = (name: string): string =>
    (JSON.parse(run('ip', '-json', 'link', 'show', name)) as { address: string }[])[0]?.address ?? '';

  async function namespace(): Promise<string> {
    const path = join(directory, `n${namespaces++}`);
    await addon().createNetns(path);
    made.push(path);
    return path;
  }

  async function agentIn(path: string): Promise<NetnsAgent> {
    const agent = await NetnsAgent.start(path);
    agents.push(agent);
    return agent;
  }

  /** A container on the network that answers on TCP port 80 of all its addresses. */
  async function server(net: NetworkRecord, wanted: EndpointPlan, name: string): Promise<string> {
    const path = await namespace();
    const agent = await agentIn(path);
    await agent.listen('tcp', '::', 80, name);
    await links.plug(net, wanted, path);
    return path;
  }

  before(async () => {
    run('mount', '--make-rprivate', '/');
    run('ip', 'link', 'set', 'lo', 'up');
    directory = mkdtempSync(join(tmpdir(), 'mydock-links-'));
    links = await NetworkLinks.open({ instance: 'test' });
  });

  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.stop();
    for (const path of made.splice(0)) removeNetns(path);
    for (const name of linkNames()) if (name !== 'lo') spawnSync('ip', ['link', 'delete', name]);
  });

  after(async () => {
    await links.close();
    rmSync(directory, { recursive: true });
  });

  describe('bridges', () => {
    it('are made with exactly their addresses and settings', async () => {
      const net = network({ ipv6: true, options: { 'com.docker.network.driver.mtu': '1400' } });
      assert.deepEqual(await links.settle({ ...net, options: {} }), {
        hostInterface: `br-${ID.slice(0, 12)}`,
        ownsHostInterface: true,
      });
      await links.ensure(net);
      assert.deepEqual(addresses('br-test'), ['10.9.0.1/24', 'fd09::1/64', 'fe80::1/64']);
      assert.match(run('ip', 'link', 'show', 'br-test'), /,UP.* mtu 1400 /);
      assert.match(macOf('br-test'), /^02:42:/);
      assert.equal(sysctl('ipv4/conf/br-test/route_localnet'), '1');
      assert.equal(sysctl('ipv6/conf/br-test/accept_ra'), '0');
      await links.remove(net);
      await links.remove(net);
      assert.deepEqual(linkNames(), ['lo']);
    });

    it('are made right where they stand', async () => {
      await links.ensure(network({ ipv6: true }));
      const macAddress = macOf('br-test');
      run('ip', 'link', 'set', 'br-test', 'down', 'mtu', '1300');
      run('ip', 'address', 'flush', 'dev', 'br-test');
      for (const address of ['10.9.0.7/24', '10.9.0.8/24', '192.0.2.1/32', 'fd01::1/64']) {
        run('ip', 'address', 'add', address, 'dev', 'br-test');
      }
      await links.ensure(network({ ipv6: true }));
      assert.deepEqual(addresses('br-test'), ['10.9.0.1/24', 'fd09::1/64', 'fe80::1/64']);
      assert.match(run('ip', 'link', 'show', 'br-test'), /,UP.* mtu 1500 /);
      assert.equal(macOf('br-test'), macAddress);
      await links.ensure(network());
      assert.deepEqual(addresses('br-test'), ['10.9.0.1/24']);
      assert.equal(sysctl('ipv6/conf/br-test/disable_ipv6'), '1');
    });

    it('have no address of their own where an option says so', async () => {
      await links.ensure(network({ options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } }));
      assert.deepEqual(addresses('br-test'), []);
      await links.ensure(
        network({ ipv6: true, options: { 'com.docker.network.bridge.gateway_mode_ipv6': 'isolated' } }),
      );
      assert.deepEqual(addresses('br-test'), ['10.9.0.1/24']);
    });

    it('of the user are borrowed, and given back as they were', async () => {
      run('ip', 'link', 'add', 'br-lan', 'mtu', '1420', 'type', 'bridge');
      run('ip', 'link', 'set', 'br-lan', 'up');
      run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'br-lan');
      const macAddress = macOf('br-lan');
      const options = { 'com.docker.network.bridge.name': 'br-lan' };
      const settled = await links.settle({ ...network(), options });
      assert.deepEqual(settled, { hostInterface: 'br-lan', ownsHostInterface: false });
      const net = network({ options, ...settled });
      await links.ensure(net);
      await links.ensure(net);
      assert.deepEqual(addresses('br-lan').slice(0, 2), ['10.9.0.1/24', '192.0.2.1/24']);
      assert.equal(macOf('br-lan'), macAddress);
      const path = await namespace();
      await links.plug(net, plan(net, 2), path);
      assert.match(inside(path, 'ip', 'link', 'show', 'eth0'), / mtu 1420 /, 'that of the bridge');
      await links.unplug(net, plan(net, 2), path);
      await links.remove(net);
      assert.deepEqual(
        addresses('br-lan').filter((address) => !address.startsWith('fe80')),
        ['192.0.2.1/24'],
      );
      assert.equal(sysctl('ipv4/conf/br-lan/route_localnet'), '0');
      // The user's own address, which the network has as its gateway, stays.
      const same = network({
        ...net,
        pools: net.pools.map((pool) => ({ ...pool, subnet: '192.0.2.0/24', gateway: '192.0.2.1' })),
      });
      await links.ensure(same);
      await links.remove(same);
      assert.ok(addresses('br-lan').includes('192.0.2.1/24'));
    });

    it('that are something else are left alone', async () => {
      run('ip', 'link', 'add', 'br-test', 'type', 'veth', 'peer', 'name', 'other');
      const options = { 'com.docker.network.bridge.name': 'br-test' };
      const conflict = { kind: 'Conflict', message: /br-test exists and is not a bridge/ };
      await assert.rejects(links.settle({ ...network(), options }), conflict);
      await assert.rejects(links.ensure(network()), conflict);
      await links.remove(network());
      assert.ok(linkNames().includes('br-test'));
    });

    it('that are gone are made anew by the next endpoint', async () => {
      const net = network();
      await links.ensure(net);
      run('ip', 'link', 'delete', 'br-test');
      const path = await server(net, plan(net, 2), 'two');
      assert.deepEqual(addresses('eth0', path), ['10.9.0.2/24']);
      const host = await agentIn('/proc/self/ns/net');
      assert.equal(await host.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.1');
      // One that a user named and deleted is not ours to make.
      const borrowed = network({ id: OTHER_ID, hostInterface: 'br-gone', ownsHostInterface: false });
      await assert.rejects(links.ensure(borrowed), { kind: 'Unavailable', message: /br-gone.*is gone/ });
    });

    it('and parents of networks that nobody knows any more are found by their mark', async () => {
      await links.ensure(network());
      const other = await NetworkLinks.open({ instance: 'other' });
      await other.ensure(network({ id: OTHER_ID, hostInterface: 'br-other' }));
      assert.deepEqual((await links.strays(new Set([ID]))).length, 0);
      assert.deepEqual(
        (await links.strays(new Set())).map(({ name }) => name),
        ['br-test'],
      );
      await other.close();
    });
  });

  describe('endpoints of bridges', () => {
    it('have addresses, routes and settings, and reach each other at once', async () => {
      const net = network({ ipv6: true });
      await links.ensure(net);
      const one = await server(net, plan(net, 2, { linkLocal: ['169.254.7.7', 'fe80::77'] }), 'two');
      const path = await namespace();
      await links.plug(net, plan(net, 3), path);
      assert.deepEqual(addresses('eth0', one), [
        '10.9.0.2/24',
        '169.254.7.7/16',
        'fd09::2/64',
        'fe80::77/64',
      ]);
      assert.deepEqual(addresses('eth0', path), ['10.9.0.3/24', 'fd09::3/64', 'fe80::42:aff:fe09:3/64']);
      assert.match(inside(path, 'ip', 'link', 'show', 'eth0'), /02:42:0a:09:00:03/);
      assert.match(inside(path, 'ip', 'route'), /^default via 10\.9\.0\.1 dev eth0 *$/m);
      assert.match(inside(path, 'ip', '-6', 'route'), /^default via fd09::1 dev eth0 metric 1024/m);
      const agent = await agentIn(path);
      assert.equal(await agent.ask('tcp', 'fd09::2', 80), 'two fd09::3');
      assert.equal(await agent.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.3');
      assert.equal(
        inside(path, 'cat', '/proc/sys/net/ipv6/conf/eth0/accept_ra').trim(),
        '0',
        'no other container makes itself the router',
      );
      const [cable] = (await links.cables()).filter(({ name }) => name === 'vethtest3');
      assert.ok(cable !== undefined && (await links.isOwn(cable)));
      await links.unplug(net, plan(net, 3), path);
      await links.unplug(net, plan(net, 3), undefined);
      assert.deepEqual(links.interfaceNames(path), ['lo']);
      assert.deepEqual(linkNames(), ['br-test', 'lo', 'vethtest2']);
    });

    it('have no IPv6 where the network has none', async () => {
      const net = network();
      await links.ensure(net);
      const path = await namespace();
      await links.plug(net, plan(net, 2), path);
      assert.deepEqual(addresses('eth0', path), ['10.9.0.2/24']);
      assert.equal(inside(path, 'cat', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6').trim(), '1');
      assert.equal(inside(path, 'cat', '/proc/sys/net/ipv6/conf/lo/disable_ipv6').trim(), '0');
    });

    it('of a network too narrow for IPv6 work', async () => {
      const net = network({ options: { 'com.docker.network.driver.mtu': '576' } });
      await links.ensure(net);
      const path = await server(net, plan(net, 2), 'two');
      assert.match(inside(path, 'ip', 'link', 'show', 'eth0'), / mtu 576 /);
      const host = await agentIn('/proc/self/ns/net');
      assert.equal(await host.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.1');
      await assert.rejects(links.ensure({ ...net, ipv6: true }), { kind: 'Unavailable' });
    });

    it('with a reused address are found at once by containers and the host', async () => {
      const net = network({ ipv6: true });
      await links.ensure(net);
      const asking = await namespace();
      await links.plug(net, plan(net, 9), asking);
      const neighbour = await agentIn(asking);
      const host = await agentIn('/proc/self/ns/net');
      // First with a MAC address of its own, then with the usual one, then with another again.
      for (const [name, macAddress] of [
        ['first', '02:42:00:00:00:aa'],
        ['second', '02:42:0a:09:00:03'],
        ['third', '02:42:00:00:00:bb'],
      ] as const) {
        const path = await server(net, plan(net, 3, { macAddress }), name);
        for (const agent of [neighbour, host]) {
          assert.match(await agent.ask('tcp', '10.9.0.3', 80, 4000), new RegExp(`^${name} `));
          assert.match(await agent.ask('tcp', 'fd09::3', 80, 4000), new RegExp(`^${name} `));
        }
        await links.unplug(net, plan(net, 3), path);
      }
    });

    it('take kernel settings, and refuse others than those of their interface', async () => {
      const net = network();
      await links.ensure(net);
      const path = await namespace();
      const sysctls = (list: string) =>
        plan(net, 2, {
          containerInterface: 'lan7',
          options: { 'com.docker.network.endpoint.sysctls': list },
        });
      await links.plug(
        net,
        sysctls('net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.mcast_solicit=7'),
        path,
      );
      assert.equal(inside(path, 'cat', '/proc/sys/net/ipv4/conf/lan7/log_martians').trim(), '1');
      assert.equal(inside(path, 'cat', '/proc/sys/net/ipv4/neigh/lan7/mcast_solicit').trim(), '7');
      const other = await namespace();
      for (const bad of [
        'net.ipv4.ip_forward=1',
        'net.ipv4.conf.all.forwarding=1',
        'kernel.ipv4.conf.IFNAME.forwarding=1',
        'net.ipv4.conf.IFNAME.no_such_setting=1',
        'net.ipv4.conf.IFNAME./../../ip_forward=1',
        'net.ipv4.conf.IFNAME.forwarding',
      ]) {
        await assert.rejects(links.plug(net, { ...sysctls(bad), hostInterface: 'vethtest3' }, other), bad);
        assert.ok(!linkNames().includes('vethtest3'), 'nothing is left behind');
      }
    });

    it('do not take a name that the container has given away', async () => {
      const net = network();
      await links.ensure(net);
      const path = await namespace();
      inside(path, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
      await assert.rejects(links.plug(net, plan(net, 2), path), { kind: 'Conflict', message: /eth0/ });
      assert.deepEqual(linkNames(), ['br-test', 'lo']);
      assert.deepEqual(links.interfaceNames(path), ['lo', 'eth0']);
      await links.plug(net, plan(net, 2, { containerInterface: 'eth1' }), path);
      // A link of the host that has the name of a cable is not touched.
      run('ip', 'link', 'add', 'vethtest3', 'type', 'bridge');
      await assert.rejects(links.plug(net, plan(net, 3), await namespace()), { kind: 'Conflict' });
      assert.ok(linkNames().includes('vethtest3'));
    });

    it('that fell off their bridge are put back', async () => {
      const net = network();
      await links.ensure(net);
      await server(net, plan(net, 2), 'two');
      run('ip', 'link', 'delete', 'br-test');
      await links.ensure(net);
      const [cable] = await links.cables();
      assert.ok(cable !== undefined && cable.name === 'vethtest2');
      assert.equal(await links.isOwn(cable), true);
      await links.replug(net, cable);
      const host = await agentIn('/proc/self/ns/net');
      assert.equal(await host.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.1');
      run('ip', 'link', 'add', 'vethforeign', 'type', 'veth', 'peer', 'name', 'x');
      const foreign = (await links.cables()).find(({ name }) => name === 'vethforeign');
      assert.ok(foreign !== undefined && !(await links.isOwn(foreign)));
    });
  });

  describe('default routes', () => {
    const second = (): NetworkRecord => {
      const pool = { range: '', auxiliary: {}, configured: true };
      return network({
        id: OTHER_ID,
        hostInterface: 'br-second',
        ipv6: true,
        pools: [
          { ...pool, subnet: '10.8.0.0/24', gateway: '10.8.0.1' },
          { ...pool, subnet: 'fd08::/64', gateway: 'fd08::1' },
        ],
      });
    };

    it('move between interfaces and go, and others than ours stay', async () => {
      const net = network({ ipv6: true });
      await links.ensure(net);
      await links.ensure(second());
      const path = await namespace();
      await links.plug(net, plan(net, 2), path);
      const other = plan(second(), 3, {
        containerInterface: 'eth1',
        ipv4: { address: '10.8.0.3', prefixLength: 24 },
        ipv6: { address: 'fd08::3', prefixLength: 64 },
        defaultRoutes: {},
      });
      await links.plug(second(), other, path);
      inside(path, 'ip', 'route', 'add', 'default', 'via', '10.9.0.9', 'metric', '700');
      const defaults = (): string[] =>
        ['-4', '-6'].flatMap((family) =>
          inside(path, 'ip', family, 'route', 'show', 'default')
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => line.replace(/ (proto|metric 1024|pref).*/, '').trim()),
        );
      const userRoute = 'default via 10.9.0.9 dev eth0 metric 700';
      assert.deepEqual(defaults(), [
        'default via 10.9.0.1 dev eth0',
        userRoute,
        'default via fd09::1 dev eth0',
      ]);
      await links.setDefaultRoutes(path, {
        ipv4: { gateway: '10.8.0.1', interface: 'eth1' },
        ipv6: { gateway: 'fd08::1', interface: 'eth1' },
      });
      assert.deepEqual(defaults(), [
        'default via 10.8.0.1 dev eth1',
        userRoute,
        'default via fd08::1 dev eth1',
      ]);
      // A gateway outside of the subnet is a neighbour all the same; no gateway means the link itself.
      await links.setDefaultRoutes(path, {
        ipv4: { gateway: '192.0.2.1', interface: 'eth0' },
        ipv6: { gateway: '', interface: 'eth0' },
      });
      assert.deepEqual(defaults(), ['default via 192.0.2.1 dev eth0 onlink', userRoute, 'default dev eth0']);
      await links.setDefaultRoutes(path, {});
      assert.deepEqual(defaults(), [userRoute]);
      await assert.rejects(links.setDefaultRoutes(path, { ipv4: { gateway: '10.8.0.1', interface: 'no' } }));
    });
  });

  describe('macvlan', { skip: kernelHas('macvlan') ? false : 'the kernel has no macvlan links' }, () => {
    it('without a parent is a wire that leads nowhere, and its containers reach each other', async () => {
      const options = { macvlan_mode: 'bridge' };
      const settled = await links.settle({ id: ID, driver: 'macvlan', options });
      assert.deepEqual(settled, { hostInterface: `dm-${ID.slice(0, 12)}`, ownsHostInterface: true });
      const net = network({ driver: 'macvlan', ipv6: true, options, ...settled });
      await links.ensure(net);
      await server(net, plan(net, 2), 'two');
      const path = await namespace();
      await links.plug(net, plan(net, 3), path);
      assert.match(inside(path, 'ip', '-d', 'link', 'show', 'eth0'), /macvlan mode bridge/);
      assert.deepEqual(addresses('eth0', path), ['10.9.0.3/24', 'fd09::3/64', 'fe80::42:aff:fe09:3/64']);
      assert.deepEqual(addresses(net.hostInterface), []);
      // The host has routes to everywhere, and does not listen at the far end even so.
      run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'far');
      for (const name of ['uplink', 'far']) run('ip', 'link', 'set', name, 'up');
      run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'uplink');
      run('ip', 'route', 'add', 'default', 'via', '192.0.2.9');
      inside(path, 'ip', 'route', 'add', '192.0.2.1/32', 'dev', 'eth0');
      const agent = await agentIn(path);
      assert.equal(await agent.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.3');
      assert.equal(await agent.ask('tcp', 'fd09::2', 80), 'two fd09::3');
      assert.equal(await agent.ask('udp', '192.0.2.1', 81, 300), 'timeout');
      assert.doesNotMatch(inside(path, 'ip', 'neighbour', 'show', '192.0.2.1'), /lladdr/);
      run('ip', 'link', 'delete', 'uplink');
      // After a crash half-way: the far end is still down.
      run('ip', 'link', 'set', net.hostInterface.replace('dm-', 'dp-'), 'down');
      await links.ensure(net);
      assert.equal(await agent.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.3');
      await links.unplug(net, plan(net, 3), path);
      await links.unplug(net, plan(net, 3), path);
      assert.deepEqual(links.interfaceNames(path), ['lo']);
      removeNetns(path);
      await links.unplug(net, plan(net, 3), path);
      await links.remove(net);
      assert.deepEqual(linkNames(), ['lo']);
    });

    it('with a parent shares its wire, where a reused address is found at once', async () => {
      run('ip', 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'far');
      for (const name of ['wire', 'far']) run('ip', 'link', 'set', name, 'up');
      run('ip', 'address', 'add', '10.9.0.1/24', 'dev', 'far');
      run('ip', 'address', 'add', 'fd09::1/64', 'dev', 'far', 'nodad');
      const options = { parent: 'wire' };
      const settled = await links.settle({ id: ID, driver: 'macvlan', options });
      assert.deepEqual(settled, { hostInterface: 'wire', ownsHostInterface: false });
      const net = network({ driver: 'macvlan', ipv6: true, options, ...settled });
      await links.ensure(net);
      const asking = await namespace();
      await links.plug(net, plan(net, 9), asking);
      const neighbour = await agentIn(asking);
      const host = await agentIn('/proc/self/ns/net');
      for (const [name, macAddress] of [
        ['first', '02:42:00:00:00:aa'],
        ['second', '02:42:00:00:00:bb'],
      ] as const) {
        const routes = { defaultRoutes: { ipv4: '10.9.0.1', ipv6: 'fd09::1' } };
        const path = await server(net, plan(net, 3, { macAddress, ...routes }), name);
        for (const agent of [neighbour, host]) {
          assert.match(await agent.ask('tcp', '10.9.0.3', 80, 4000), new RegExp(`^${name} `));
          assert.match(await agent.ask('tcp', 'fd09::3', 80, 4000), new RegExp(`^${name} `));
        }
        assert.match(inside(path, 'ip', 'route'), /^default via 10\.9\.0\.1 dev eth0/m);
        await links.unplug(net, plan(net, 3), path);
      }
      await links.remove(net);
      assert.ok(linkNames().includes('wire'), 'a parent of the user stays');
    });

    it('refuses parents that cannot be, and says why', async () => {
      const settle = (parent: string) => links.settle({ id: ID, driver: 'macvlan', options: { parent } });
      await assert.rejects(settle('lo'), { kind: 'InvalidParameter', message: /loopback/ });
      await assert.rejects(settle('nope'), { message: /^invalid subinterface vlan name nope, example/ });
      await assert.rejects(settle('nope.5'), { message: /failed to find master interface nope/ });
      await assert.rejects(settle('lo.5000'), { message: /vlan id must be between 1-4094, received: 5000/ });
      // A bridge's port cannot be a parent too.
      run('ip', 'link', 'add', 'br-lan', 'type', 'bridge');
      run('ip', 'link', 'add', 'wire', 'master', 'br-lan', 'type', 'veth', 'peer', 'name', 'far');
      const net = network({
        driver: 'macvlan',
        options: { parent: 'wire' },
        hostInterface: 'wire',
        ownsHostInterface: false,
      });
      const path = await namespace();
      await assert.rejects(links.plug(net, plan(net, 2), path), {
        kind: 'Conflict',
        message: /wire is in use/,
      });
      assert.deepEqual(links.interfaceNames(path), ['lo']);
    });

    it('leaves a parent that two networks share to the one that remains', async () => {
      const first = network({ driver: 'macvlan', hostInterface: 'dm-shared' });
      const heir = { ...first, id: OTHER_ID, ownsHostInterface: false };
      await links.ensure(first);
      await links.ensure(heir);
      await links.remove(first);
      assert.ok(linkNames().includes('dm-shared'));
      assert.equal((await links.strays(new Set([OTHER_ID]))).length, 0);
      await links.remove(heir);
      assert.deepEqual(linkNames(), ['lo']);
    });

    it('makes the VLAN that its parent is, or says that the kernel has none', async () => {
      run('ip', 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'far');
      run('ip', 'link', 'set', 'wire', 'up');
      const options = { parent: 'wire.50' };
      const settled = links.settle({ id: ID, driver: 'macvlan', options });
      if (!kernelHas('vlan')) {
        await assert.rejects(settled, {
          kind: 'NotImplemented',
          message: 'the parent interface wire.50 is missing and cannot be made: the kernel has no vlan links',
        });
        return;
      }
      assert.deepEqual(await settled, { hostInterface: 'wire.50', ownsHostInterface: true });
      const net = network({ driver: 'macvlan', options, hostInterface: 'wire.50' });
      await links.ensure(net);
      assert.match(run('ip', '-d', 'link', 'show', 'wire.50'), /vlan protocol 802.1Q id 50/);
      await links.remove(net);
      assert.ok(!linkNames().includes('wire.50'));
    });
  });

  describe('ipvlan', () => {
    it('works where the kernel has it, and is refused by name where not', async () => {
      const options = { ipvlan_mode: 'l3' };
      const settled = links.settle({ id: ID, driver: 'ipvlan', options });
      if (!kernelHas('ipvlan')) {
        await assert.rejects(settled, {
          kind: 'NotImplemented',
          message: 'network driver "ipvlan": the kernel has no ipvlan links',
        });
        const net = network({ driver: 'ipvlan', options, hostInterface: 'dm-test' });
        await links.ensure(net);
        const path = await namespace();
        await assert.rejects(links.plug(net, plan(net, 2), path), {
          kind: 'NotImplemented',
          message: 'network driver "ipvlan": the kernel has no such links',
        });
        return;
      }
      const net = network({ driver: 'ipvlan', ipv6: true, options, ...(await settled) });
      await links.ensure(net);
      await server(net, plan(net, 2, { defaultRoutes: { ipv4: '', ipv6: '' } }), 'two');
      const path = await namespace();
      await links.plug(net, plan(net, 3, { defaultRoutes: { ipv4: '', ipv6: '' } }), path);
      assert.match(inside(path, 'ip', 'route'), /^default dev eth0/m);
      const agent = await agentIn(path);
      assert.equal(await agent.ask('tcp', '10.9.0.2', 80), 'two ::ffff:10.9.0.3');
      assert.equal(await agent.ask('tcp', 'fd09::2', 80), 'two fd09::3');
    });
  });

  describe('subnets in use', () => {
    it('are those of routes and addresses of both families and of name servers', async () => {
      const resolver = join(directory, 'resolv.conf');
      writeFileSync(
        resolver,
        'search a\nnameserver 203.0.113.53\n nameserver fe80::53%eth0\n#nameserver 1.1.1.1\n',
      );
      run('mount', '--bind', resolver, '/etc/resolv.conf');
      run('ip', 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'far');
      for (const name of ['wire', 'far']) run('ip', 'link', 'set', name, 'up');
      run('ip', 'address', 'add', '198.51.100.9/25', 'dev', 'wire', 'noprefixroute');
      run('ip', 'address', 'add', 'fd77::9/64', 'dev', 'far');
      run('ip', 'route', 'add', '10.44.0.0/16', 'dev', 'wire', 'table', '1234');
      run('ip', 'route', 'add', 'blackhole', '10.45.0.0/16');
      run('ip', '-6', 'route', 'add', 'fd78::/48', 'dev', 'wire');
      await links.ensure(network());
      const used = (await links.usedSubnets(['br-test'])).map(
        ({ subnet, interface: by }) => `${formatSubnet(subnet)} ${by}`,
      );
      run('umount', '/etc/resolv.conf');
      for (const wanted of [
        '198.51.100.0/25 wire',
        'fd77::/64 far',
        '10.44.0.0/16 wire',
        '10.45.0.0/16 a route',
        'fd78::/48 wire',
        '203.0.113.53/32 /etc/resolv.conf',
        'fe80::53/128 /etc/resolv.conf',
        '127.0.0.0/8 lo',
      ]) {
        assert.ok(used.includes(wanted), `${wanted} in ${used.join(', ')}`);
      }
      assert.ok(!used.some((text) => text.startsWith('10.9.0')), 'those of our own bridge are left out');
      assert.ok(!used.some((text) => text.startsWith('1.1.1.1') || text.startsWith('ff')));
    });
  });
}
