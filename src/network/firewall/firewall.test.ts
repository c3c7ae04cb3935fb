/**
 * The firewall on a real kernel, with real sockets. The file runs itself again in a network namespace of its own,
 * which stands for the host; others are containers and another host. `ip` builds the stage, `nft` plays other
 * programs' rules.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../base/log.ts';
import { parseAddress, parseSubnet } from '../ip-address.ts';
import { servedBytes } from '../netns-agent-fixture.ts';
import { OWN_NETNS } from '../own-netns-fixture.ts';
import { Ports } from '../ports/ports.ts';
import { Firewall } from './firewall.ts';
import type { Place } from './hosts-fixture.ts';
import { HostsFixture, network, run, shell } from './hosts-fixture.ts';
import type { EgressRule, FirewallNetwork, PublishedPort } from './model.ts';

const WATCH_MS = 200;

/** What is asked for until it is the answer, for half a minute and more. */
async function answers(ask: () => Promise<string>, wanted: string, why: string): Promise<void> {
  let answer = await ask();
  for (let tries = 0; tries < 100 && answer !== wanted; tries++) {
    await sleep(300);
    answer = await ask();
  }
  assert.equal(answer, wanted, why);
}
const BRIDGE_NETFILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';
if (OWN_NETNS.inside) suite();
else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

function suite(): void {
  const HOST = { 4: '192.0.2.1', 6: '2001:db8:1::1' } as const;
  const FAMILIES = [4, 6] as const;
  const NETWORKS = {
    a: network('a', 'br-a', ['172.17.0.0/16', 'fd00:a::/64']),
    b: network('b', 'br-b', ['172.18.0.0/16']),
    internal: network('i', 'br-i', ['172.19.0.0/16', 'fd00:c::/64'], { internal: true }),
  };
  let hosts: HostsFixture;
  let outside: Place;
  let a1: Place;
  let a2: Place;
  let b1: Place;
  let i1: Place;
  let i2: Place;
  let firewall: Firewall;

  const address = (place: Place, family: 4 | 6) => (family === 4 ? place.ipv4 : place.ipv6);

  /** On all addresses of the host. */
  const published = (
    place: Place,
    hostPort: number,
    containerPort: number,
    more: { protocol?: 'tcp' | 'udp'; family?: 4 | 6; hostIp?: string; networkId?: string } = {},
  ): PublishedPort => ({
    protocol: more.protocol ?? 'tcp',
    hostIp: more.hostIp ?? '',
    hostPort,
    containerAddress: parseAddress(address(place, more.family ?? 4)),
    containerPort,
    networkId: more.networkId ?? 'a',
  });

  async function withFirewall(
    options: { mode?: 'default' | 'strict'; networks?: FirewallNetwork[]; ports?: PublishedPort[] },
    body: (firewall: Firewall) => Promise<void>,
  ): Promise<void> {
    firewall = new Firewall({
      table: 'mydock',
      uplinks: { ipv4: [], ipv6: [] },
      mode: options.mode ?? 'default',
      watchMs: WATCH_MS,
    });
    try {
      await firewall.install({
        networks: options.networks ?? Object.values(NETWORKS),
        ports: options.ports ?? [],
        restricted: [],
      });
      await body(firewall);
    } finally {
      await firewall.uninstall();
      await firewall.close();
      run('nft', 'flush', 'ruleset');
    }
  }

  const rule = (place: Place, subnets: string[] = []): EgressRule => ({
    containerId: place.name,
    addresses: [place.ipv4, place.ipv6].filter((text) => text !== '').map(parseAddress),
    macAddress: place.macAddress,
    hostInterface: place.hostInterface,
    subnets: subnets.map(parseSubnet),
    names: [],
  });

  before(async () => {
    log.level = 'fatal';
    hosts = await HostsFixture.create();
    hosts.bridge('br-a', '172.17.0.1/16', 'fd00:a::1/64');
    hosts.bridge('br-b', '172.18.0.1/16');
    hosts.bridge('br-i', '172.19.0.1/16', 'fd00:c::1/64');
    outside = await hosts.place('outside', ['192.0.2.2/24', '2001:db8:1::2/64'], {
      hostAddresses: ['192.0.2.1/24', '2001:db8:1::1/64'],
    });
    a1 = await hosts.place('a1', ['172.17.0.2/16', 'fd00:a::2/64'], { bridge: 'br-a' });
    a2 = await hosts.place('a2', ['172.17.0.3/16', 'fd00:a::3/64'], { bridge: 'br-a' });
    b1 = await hosts.place('b1', ['172.18.0.2/16'], { bridge: 'br-b' });
    i1 = await hosts.place('i1', ['172.19.0.2/16', 'fd00:c::2/64'], { bridge: 'br-i' });
    i2 = await hosts.place('i2', ['172.19.0.3/16', 'fd00:c::3/64'], { bridge: 'br-i' });
    for (const place of [outside, a1, a2, b1, i1, i2]) {
      for (const any of place.ipv6 === '' ? ['0.0.0.0'] : ['0.0.0.0', '::']) {
        await place.agent.listen('tcp', any, 80, place.name, any === '::');
        await place.agent.listen('udp', any, 53, place.name, any === '::');
      }
    }
    await hosts.local.listen('tcp', '0.0.0.0', 7000, 'host');
    await hosts.local.listen('tcp', '::', 7001, 'host', true);
  });

  after(async () => {
    await hosts.remove();
  });

  describe('networks', () => {
    it('reach the outside with the address of the host, themselves and the host with their own', async () => {
      await withFirewall({}, async () => {
        for (const family of FAMILIES) {
          const [theirs, own] = [address(outside, family), address(a1, family)];
          assert.equal(await a1.agent.ask('tcp', theirs, 80), `outside ${HOST[family]}`);
          assert.equal(await a1.agent.ask('udp', theirs, 53), `outside ${HOST[family]}`);
          assert.equal(await a1.agent.ask('tcp', address(a2, family), 80), `a2 ${own}`);
        }
        assert.equal(await a1.agent.ask('tcp', '172.17.0.1', 7000), 'host 172.17.0.2');
        assert.equal(await a1.agent.ask('tcp', 'fd00:a::1', 7001), 'host fd00:a::2');
        assert.equal(await b1.agent.ask('tcp', outside.ipv4, 80), `outside ${HOST[4]}`);
      });
    });

    it('are not reached by other networks and other hosts', async () => {
      await withFirewall({}, async () => {
        const tries = [
          a1.agent.ask('tcp', b1.ipv4, 80, 300),
          b1.agent.ask('tcp', a1.ipv4, 80, 300),
          outside.agent.ask('tcp', a1.ipv4, 80, 300),
        ];
        assert.deepEqual(await Promise.all(tries), ['timeout', 'timeout', 'timeout']);
        assert.equal(await outside.agent.ask('tcp', a1.ipv6, 80, 300), 'timeout');
        assert.equal(await outside.agent.ask('udp', a1.ipv6, 53, 300), 'timeout');
        assert.equal(await hosts.local.ask('tcp', b1.ipv4, 80), 'b1 172.18.0.1', 'the host reaches all');
      });
    });

    it('that are internal reach themselves and their gateway, and nobody else reaches them', async () => {
      const ports = [published(a1, 8080, 80), published(a1, 8080, 80, { family: 6 })];
      await withFirewall({ ports }, async () => {
        for (const family of FAMILIES) {
          const own = address(i1, family);
          assert.equal(await i1.agent.ask('tcp', address(i2, family), 80), `i2 ${own}`);
          const forbidden = [
            [address(outside, family), 80],
            [address(a1, family), 80],
            [HOST[family], 8080],
            [HOST[family], family === 4 ? 7000 : 7001],
          ] as const;
          for (const [where, port] of forbidden) {
            assert.equal(await i1.agent.ask('tcp', where, port, 200), 'timeout', `${where} ${port}`);
          }
          assert.equal(await outside.agent.ask('tcp', own, 80, 200), 'timeout');
          assert.equal(await a1.agent.ask('tcp', own, 80, 200), 'timeout');
        }
        assert.equal(await i1.agent.ask('tcp', '172.19.0.1', 7000), 'host 172.19.0.2');
        assert.equal(await i1.agent.ask('tcp', 'fd00:c::1', 7001), 'host fd00:c::2');
        assert.equal(await hosts.local.ask('tcp', i1.ipv4, 80), 'i1 172.19.0.1');
      });
    });

    it('without icc: neighbours do not meet by way of the gateway either', async () => {
      // Bridged packets that the IP firewall translates stay between isolated ports, where they are dropped.
      if (existsSync(BRIDGE_NETFILTER)) writeFileSync(BRIDGE_NETFILTER, '0');
      const [one, two] = [a1, a2].map(({ hostInterface }) => hostInterface);
      shell(
        `ip link set ${one} type bridge_slave isolated on; ip link set ${two} type bridge_slave isolated on`,
      );
      try {
        const networks = [network('a', 'br-a', ['172.17.0.0/16', 'fd00:a::/64'], { icc: false })];
        const ports = [published(a2, 8080, 80)];
        await withFirewall({ networks, ports }, async () => {
          assert.notEqual(await a1.agent.ask('tcp', a2.ipv4, 80, 300), `a2 ${a1.ipv4}`);
          shell(`nsenter --net=${a1.path} ip route add 172.17.0.3/32 via 172.17.0.1`);
          assert.equal(await a1.agent.ask('tcp', a2.ipv4, 80, 300), 'timeout');
          shell(`nsenter --net=${a1.path} ip route del 172.17.0.3/32`);
          assert.match(await a1.agent.ask('tcp', HOST[4], 8080), /^a2 /, 'what is published is for all');
          assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /);
        });
      } finally {
        shell(
          `ip link set ${one} type bridge_slave isolated off; ip link set ${two} type bridge_slave isolated off`,
        );
      }
    });

    it('that are routed keep addresses and show published ports at the container', async () => {
      const routed = { ipv4: 'routed', ipv6: 'routed' } as const;
      const networks = [
        network('a', 'br-a', ['172.17.0.0/16', 'fd00:a::/64'], { gatewayMode: routed }),
        NETWORKS.b,
        NETWORKS.internal,
      ];
      await withFirewall({ networks }, async () => {
        const open = [published(a1, 0, 80), published(a1, 0, 80, { family: 6 })];
        await firewall.publish(open);
        for (const family of FAMILIES) {
          const own = address(a1, family);
          assert.equal(await outside.agent.ask('tcp', own, 80), `a1 ${address(outside, family)}`);
          assert.equal(await outside.agent.ask('udp', own, 53, 300), 'timeout', 'not published');
          assert.equal(await outside.agent.ask('tcp', address(a2, family), 80, 300), 'timeout');
          assert.equal(await a1.agent.ask('tcp', address(outside, family), 80), `outside ${own}`);
        }
        await firewall.withdraw(open);
        assert.equal(await outside.agent.ask('tcp', a1.ipv4, 80, 300), 'timeout');
      });
    });

    it('that are unprotected are open to other hosts, not to other networks', async () => {
      const gatewayMode = { ipv4: 'nat-unprotected', ipv6: 'nat' } as const;
      const networks = [network('a', 'br-a', ['172.17.0.0/16', 'fd00:a::/64'], { gatewayMode }), NETWORKS.b];
      await withFirewall({ networks }, async () => {
        assert.equal(await outside.agent.ask('tcp', a1.ipv4, 80), `a1 ${outside.ipv4}`);
        assert.equal(await outside.agent.ask('tcp', a1.ipv6, 80, 300), 'timeout');
        assert.equal(await b1.agent.ask('tcp', a1.ipv4, 80, 300), 'timeout');
        assert.equal(await a1.agent.ask('tcp', outside.ipv4, 80), `outside ${HOST[4]}`);
      });
    });

    it('come and go as elements', async () => {
      await withFirewall({ networks: [NETWORKS.a] }, async () => {
        const before = run('nft', 'list', 'ruleset');
        assert.match(await a1.agent.ask('tcp', b1.ipv4, 80), /^b1 /, 'the test can tell');
        await firewall.addNetwork(NETWORKS.b);
        await firewall.addNetwork(NETWORKS.b);
        assert.equal(await a1.agent.ask('tcp', b1.ipv4, 80, 300), 'timeout');
        await firewall.removeNetwork('b');
        await firewall.removeNetwork('b');
        assert.equal(run('nft', 'list', 'ruleset'), before);
      });
    });
  });

  describe('published ports', () => {
    const ports = new Ports();
    after(() => ports.close());

    for (const callIptables of ['0', '1']) {
      const noSuchSwitch =
        existsSync(BRIDGE_NETFILTER) || callIptables === '0' ? false : 'no br_netfilter here';
      it(`are reached from everywhere, sources kept (bridge-nf-call-iptables ${callIptables})`, {
        skip: noSuchSwitch,
      }, async () => {
        for (const name of ['iptables', 'ip6tables']) {
          const path = BRIDGE_NETFILTER.replace('iptables', name);
          if (existsSync(path)) writeFileSync(path, callIptables);
        }
        if (callIptables === '1') {
          for (const { hostInterface } of [a1, a2, b1]) {
            shell(`ip link set ${hostInterface} type bridge_slave hairpin on`);
          }
        }
        const all = FAMILIES.flatMap((family) => [
          published(a1, 8080, 80, { family }),
          published(a1, 5300, 53, { family, protocol: 'udp' }),
        ]);
        const forward = { ipv4: a1.ipv4, ipv6: a1.ipv6 };
        const bound = ports.bind(
          [
            { containerPort: 80, protocol: 'tcp', hostIp: '', hostPort: 8080 },
            { containerPort: 53, protocol: 'udp', hostIp: '', hostPort: 5300 },
          ],
          forward,
        );
        await withFirewall({ ports: all }, async () => {
          for (const family of FAMILIES) {
            const host = HOST[family];
            for (const [protocol, port] of [
              ['tcp', 8080],
              ['udp', 5300],
            ] as const) {
              const what = `${protocol}${family}`;
              const from = (place: Place) => place.agent.ask(protocol, host, port);
              assert.equal(await from(outside), `a1 ${address(outside, family)}`, what);
              assert.equal(await hosts.local.ask(protocol, host, port), `a1 ${host}`, what);
              assert.match(await from(a2), /^a1 /, `${what}: a neighbour`);
              assert.match(await from(a1), /^a1 /, `${what}: itself`);
              if (family === 4) assert.match(await from(b1), /^a1 /, `${what}: another network`);
            }
          }
          assert.equal(await hosts.local.ask('tcp', '127.0.0.1', 8080), 'a1 172.17.0.1');
          assert.equal(await hosts.local.ask('udp', '127.0.0.1', 5300), 'a1 172.17.0.1');
          assert.equal(await hosts.local.ask('tcp', '::1', 8080), 'a1 fd00:a::1', 'carried by the socket');
          assert.equal(await hosts.local.ask('udp', '::1', 5300), 'a1 fd00:a::1');
          const linkLocal = /inet6 (fe80::\S+)\//.exec(run('ip', 'addr', 'show', outside.hostInterface))?.[1];
          assert.equal(await outside.agent.ask('tcp', `${linkLocal}%eth0`, 8080), 'a1 fd00:a::1');
        });
        ports.release(bound);
      });
    }

    it('of one family reach a container that has only the other', async () => {
      const bound = ports.bind([{ containerPort: 80, protocol: 'tcp', hostIp: '0.0.0.0', hostPort: 8086 }], {
        ipv6: a1.ipv6,
      });
      const back = ports.bind([{ containerPort: 53, protocol: 'udp', hostIp: '::', hostPort: 8087 }], {
        ipv4: b1.ipv4,
      });
      await withFirewall({}, async () => {
        assert.equal(await outside.agent.ask('tcp', HOST[4], 8086), 'a1 fd00:a::1');
        assert.equal(await outside.agent.ask('udp', HOST[6], 8087), 'b1 172.18.0.1');
      });
      ports.release([...bound, ...back]);
    });

    it('of one address are reached there only', async () => {
      const one = FAMILIES.map((family) => published(a1, 8081, 80, { family, hostIp: HOST[family] }));
      await withFirewall({ ports: one }, async () => {
        for (const family of FAMILIES) {
          assert.match(await outside.agent.ask('tcp', HOST[family], 8081), /^a1 /);
          assert.equal(
            await hosts.local.ask('tcp', family === 4 ? '172.18.0.1' : 'fd00:c::1', 8081),
            'ECONNREFUSED',
          );
        }
      });
    });

    it('carry large answers whole, both families', async () => {
      const bytes = 20_000_000;
      const expected = `${createHash('sha256').update(servedBytes(bytes)).digest('hex')} ${bytes}`;
      await a1.agent.serve('::', 9000, bytes);
      const wanted = FAMILIES.map((family) => published(a1, 9000, 9000, { family }));
      await withFirewall({ ports: wanted }, async () => {
        for (const family of FAMILIES) {
          assert.equal(await outside.agent.download(HOST[family], 9000), expected);
        }
      });
    });

    it('come and go while others stay, a thousand of both families in seconds', async () => {
      await withFirewall({ ports: [published(a1, 8080, 80)] }, async () => {
        const range = Array.from({ length: 1000 }, (_, i) =>
          FAMILIES.map((family) => published(a1, 20_000 + i, 20_000 + i, { family })),
        ).flat();
        const start = performance.now();
        await firewall.publish(range);
        await firewall.withdraw(range);
        assert.ok(performance.now() - start < 60_000);
        assert.doesNotMatch(run('nft', 'list', 'ruleset'), /20500/);
        assert.match(await outside.agent.ask('tcp', HOST[4], 8080), /^a1 /);
        await assert.rejects(firewall.publish([published(a1, 8088, 80), published(a2, 8080, 80)]), {
          kind: 'Conflict',
        });
        assert.doesNotMatch(run('nft', 'list', 'ruleset'), /8088/, 'all or none');
      });
    });

    it('take over the datagrams of a client that was there before them', async () => {
      const script = `require('node:dgram').createSocket('udp4').on('message', (m) => { console.log(String(m)); process.exit(); })
        .bind(5555, function () { setInterval(() => this.send('x', 5301, '${HOST[4]}'), 100); });
        setTimeout(() => process.exit(1), 60_000);`;
      await withFirewall({}, async () => {
        const { spawn } = await import('node:child_process');
        const client = spawn('nsenter', [`--net=${outside.path}`, process.execPath, '-e', script]);
        const said = new Promise<string>((resolve) =>
          client.stdout.once('data', (data) => resolve(String(data))),
        );
        const ended = new Promise<string>((resolve) =>
          client.once('exit', (code) => resolve(`exit ${code}`)),
        );
        await sleep(500);
        await firewall.publish([published(a1, 5301, 53, { protocol: 'udp' })]);
        assert.equal(await Promise.race([said, ended]), `a1 ${outside.ipv4}\n`);
      });
    });

    it('come back by themselves after somebody flushed all rules', async () => {
      await withFirewall({ ports: [published(a1, 8080, 80)] }, async () => {
        for (const damage of [
          'flush ruleset',
          'flush chain inet mydock translate',
          'delete table inet mydock',
        ]) {
          run('nft', ...damage.split(' '));
          await answers(() => outside.agent.ask('tcp', HOST[4], 8080, 500), `a1 ${outside.ipv4}`, damage);
        }
        run('nft', 'flush', 'ruleset');
        await firewall.publish([published(a2, 8082, 80)]);
        assert.equal(await outside.agent.ask('tcp', HOST[4], 8080), `a1 ${outside.ipv4}`, 'at once');
        assert.equal(await outside.agent.ask('tcp', HOST[4], 8082), `a2 ${outside.ipv4}`);
      });
    });
  });

  describe('strict mode', () => {
    const POLICY = `table inet host {
      chain input { type filter hook input priority 0; policy drop;
        ct state established,related accept
        iifname lo accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        ip saddr 192.0.2.2 tcp dport 8080 accept
        ip saddr 192.0.2.2 udp dport 5300 accept
        ip6 saddr 2001:db8:1::2 tcp dport 8080 accept
        ip6 saddr 2001:db8:1::2 udp dport 5300 accept
      }
    }`;
    const strictPorts = () =>
      FAMILIES.flatMap((family) => [
        published(a1, 8080, 80, { family }),
        published(a1, 8083, 80, { family }),
        published(a1, 5300, 53, { family, protocol: 'udp' }),
        published(a1, 5303, 53, { family, protocol: 'udp' }),
      ]);
    const askTwice = async (port: number, host: string, timeoutMs: number): Promise<string> => {
      await outside.agent.ask('udp', host, port, 200);
      return outside.agent.ask('udp', host, port, timeoutMs);
    };

    it('lets in what the input policy of the host lets in, sources kept, and follows its changes', async () => {
      const ports = new Ports();
      const bound = ports.bind(
        [8080, 8083].map((hostPort) => ({ containerPort: 80, protocol: 'tcp', hostIp: '', hostPort })),
        { ipv4: a1.ipv4, ipv6: a1.ipv6 },
      );
      await withFirewall({ mode: 'strict', ports: strictPorts() }, async () => {
        run('nft', POLICY);
        await answers(
          () => outside.agent.ask('tcp', HOST[4], 8083, 500),
          'timeout',
          'the change of rules is noticed',
        );
        for (const family of FAMILIES) {
          const host = HOST[family];
          assert.equal(await outside.agent.ask('tcp', host, 8080, 20_000), `a1 ${address(outside, family)}`);
          assert.equal(await askTwice(5300, host, 20_000), `a1 ${address(outside, family)}`);
          assert.equal(await outside.agent.ask('tcp', host, 8083, 1500), 'timeout', 'no rule lets it in');
          assert.equal(await askTwice(5303, host, 500), 'timeout');
          assert.equal(await hosts.local.ask('tcp', host, 8083), `a1 ${host}`, 'the host itself may');
          assert.match(await a2.agent.ask('tcp', host, 8083), /^a1 /, 'containers may');
          // The quickest of some: a lost SYN costs each of them a second.
          let quickestMs = Number.POSITIVE_INFINITY;
          for (let tries = 0; tries < 5 && quickestMs >= 900; tries++) {
            const start = performance.now();
            assert.match(await outside.agent.ask('tcp', host, 8080), /^a1 /);
            quickestMs = Math.min(quickestMs, performance.now() - start);
          }
          assert.ok(quickestMs < 900, 'connections after the first are not delayed');
        }
        run('nft', 'flush', 'chain', 'inet', 'host', 'input');
        await answers(
          () => outside.agent.ask('tcp', HOST[4], 8080, 1500),
          'timeout',
          'the new policy counts',
        );
      });
      ports.release(bound);
    });

    it('is open where the host has no input policy', async () => {
      await withFirewall({ mode: 'strict', ports: strictPorts() }, async () => {
        assert.equal(await outside.agent.ask('tcp', HOST[4], 8080, 4000), `a1 ${outside.ipv4}`);
      });
    });
  });

  describe('containers that are kept in', () => {
    it('reach nothing but their network, and what is named', async () => {
      const ports = FAMILIES.map((family) => published(a1, 8080, 80, { family }));
      const byNeighbour = [published(a2, 8084, 80), published(a2, 8084, 80, { family: 6 })];
      await withFirewall({ ports: [...ports, ...byNeighbour] }, async () => {
        await firewall.restrict(rule(a1));
        const blocked = (await firewall.blocked('a1')).packets;
        assert.equal(blocked, 0);
        for (const family of FAMILIES) {
          const theirs = address(outside, family);
          const refused = /ECONNREFUSED/;
          const forbidden = [
            [theirs, 80],
            [HOST[family], 8084],
            [family === 4 ? '172.17.0.1' : 'fd00:a::1', family === 4 ? 7000 : 7001],
          ] as const;
          for (const [where, port] of forbidden) {
            assert.match(await a1.agent.ask('tcp', where, port, 500), refused, `${where} ${port}`);
          }
          assert.notEqual(await a1.agent.ask('udp', theirs, 53, 300), `outside ${HOST[family]}`);
          assert.equal(await a1.agent.ask('tcp', address(a2, family), 80), `a2 ${address(a1, family)}`);
          assert.equal(await outside.agent.ask('tcp', HOST[family], 8080), `a1 ${theirs}`, 'answers pass');
          assert.match(await hosts.local.ask('tcp', address(a1, family), 80), /^a1 /);
          assert.match(await a2.agent.ask('tcp', theirs, 80), /^outside /, 'neighbours are free');
        }
        const report = await firewall.blocked('a1');
        assert.ok(report.packets >= 8, `${report.packets}`);
        const destinations = report.recent.map(({ destination }) => destination);
        for (const expected of [
          '192.0.2.2:80/tcp',
          '192.0.2.2:53/udp',
          '[2001:db8:1::2]:80/tcp',
          '172.17.0.1:7000/tcp',
        ]) {
          assert.ok(destinations.includes(expected), `${expected} in ${destinations.join(' ')}`);
        }
        assert.ok(Math.abs(Date.parse(report.recent[0]?.time ?? '') - Date.now()) < 60_000);
        await firewall.restrict(rule(a1, ['192.0.2.0/24', '192.0.2.2/32', '2001:db8:1::/64']));
        assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /);
        assert.match(await a1.agent.ask('tcp', outside.ipv6, 80), /^outside /);
        assert.match(
          await a1.agent.ask('tcp', HOST[4], 8084),
          /^a2 /,
          'the address that was asked for counts',
        );
        await firewall.unrestrict('a1');
        await firewall.unrestrict('a1');
        assert.match(await a1.agent.ask('tcp', '172.17.0.1', 7000), /^host /);
        assert.doesNotMatch(run('nft', 'list', 'ruleset'), /v-a1|172\.17\.0\.2 (counter|\. (?!80))/);
      });
    });

    it('reach admitted addresses for some time, and while they use them', async () => {
      await withFirewall({}, async () => {
        await assert.rejects(firewall.admit('a1', [parseAddress(outside.ipv4)], 60), { kind: 'NotFound' });
        await firewall.restrict(rule(a1));
        const wanted = FAMILIES.map((family) => parseAddress(address(outside, family)));
        await firewall.admit('a1', wanted, 1);
        await sleep(1500);
        assert.doesNotMatch(
          await a1.agent.ask('tcp', outside.ipv4, 80, 500),
          /outside/,
          'never used: it ended',
        );
        // Long enough for both to be asked on a busy machine.
        await firewall.admit('a1', wanted, 5);
        for (const family of FAMILIES) {
          assert.match(await a1.agent.ask('tcp', address(outside, family), 80), /^outside /);
        }
        await sleep(5500);
        assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /, 'in use');
        const { packets } = await firewall.blocked('a1');
        await firewall.admit('a1', wanted, 100);
        run('nft', 'flush', 'set', 'inet', 'mydock', 'used4');
        await firewall.admit('a1', wanted, 1);
        await sleep(1500);
        assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /, 'not shortened');
        // A new daemon on the same rules.
        const next = new Firewall({ table: 'mydock', uplinks: { ipv4: [], ipv6: [] }, mode: 'default' });
        await next.install({ networks: Object.values(NETWORKS), ports: [], restricted: [rule(a1)] });
        assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /, 'carried over');
        assert.equal((await next.blocked('a1')).packets, packets, 'goes on counting');
        await next.unrestrict('a1');
        await next.restrict(rule(a1));
        assert.doesNotMatch(await a1.agent.ask('tcp', outside.ipv4, 80, 500), /outside/, 'the next owner');
        await next.close();
      });
    });

    it('do not go on with what they, or an earlier owner of their addresses, had opened', async () => {
      const script = `const s = require('node:dgram').createSocket('udp4').bind(5000);
        s.on('message', (m) => { console.log(String(m)); process.exit(); }).send('hello', 53, '${outside.ipv4}');
        setTimeout(() => process.exit(), Number(process.argv[1]));`;
      const ask = (waitMs = 20_000) =>
        run('nsenter', `--net=${a1.path}`, process.execPath, '-e', script, String(waitMs)).trim();
      await withFirewall({}, async () => {
        assert.equal(ask(), `outside ${HOST[4]}`);
        await firewall.restrict(rule(a1));
        assert.equal(ask(400), '', 'from the same port');
        await firewall.restrict(rule(a1, ['192.0.2.0/24']));
        assert.equal(ask(), `outside ${HOST[4]}`);
        await firewall.restrict(rule(a1));
        assert.equal(ask(400), '', 'another policy');
        await firewall.admit('a1', [parseAddress(outside.ipv4)], 60);
        assert.equal(ask(), `outside ${HOST[4]}`);
        const { packets } = await firewall.blocked('a1');
        await firewall.restrict({ ...rule(a1), names: ['example.com'] });
        assert.equal(ask(400), '', 'what another policy admitted');
        assert.ok((await firewall.blocked('a1')).packets > packets, 'goes on counting');
      });
    });

    it('may have the link-local address of one on another network', async () => {
      const shared = parseAddress('fe80::42:ff:fe00:3');
      const of = (container: string): EgressRule => ({
        ...rule(a1),
        containerId: container,
        hostInterface: `veth-${container}`,
        addresses: [shared],
      });
      const isIn = () =>
        run('nft', 'list', 'set', 'inet', 'mydock', 'restricted6').includes('fe80::42:ff:fe00:3');
      const guards = () => run('nft', 'list', 'tables').includes('table bridge');
      await withFirewall({}, async () => {
        await firewall.restrict(of('x'));
        await firewall.restrict(of('y'));
        await firewall.unrestrict('x');
        assert.ok(isIn(), 'the other one is kept in');
        await firewall.unrestrict('y');
        assert.deepEqual([isIn(), guards()], [false, false]);
        // Also where the tables are not what they should be.
        await firewall.restrict(of('x'));
        run('nft', 'flush', 'ruleset');
        await firewall.unrestrict('x');
        assert.deepEqual([isIn(), guards()], [false, false]);
        await firewall.restrict(of('x'));
        run('nft', 'flush', 'set', 'inet', 'mydock', 'restricted6');
        await firewall.unrestrict('x');
        assert.deepEqual([isIn(), guards()], [false, false]);
      });
    });

    it('keep to their addresses, also with raw frames', async () => {
      const inside = (command: string) => shell(`nsenter --net=${a1.path} ${command}`);
      await withFirewall({}, async () => {
        await firewall.restrict(rule(a1));
        assert.equal(await a1.agent.ask('tcp', a2.ipv4, 80), 'a2 172.17.0.2', 'an honest one works');
        inside('ip addr add 172.17.0.99/16 dev eth0');
        inside('ip route replace default via 172.17.0.1 src 172.17.0.99');
        assert.equal(await a1.agent.ask('tcp', outside.ipv4, 80, 300), 'timeout', 'another source address');
        inside('ip addr del 172.17.0.99/16 dev eth0');
        inside('ip route replace default via 172.17.0.1');
        inside('ip link set eth0 address 02:00:00:00:00:99');
        assert.match(
          await a1.agent.ask('tcp', a2.ipv4, 80, 300),
          /timeout|EHOSTUNREACH/,
          'another MAC address',
        );
        inside(`ip link set eth0 address ${a1.macAddress}`);
        // To a group address that no bridge passes on, the frame would reach the host as one of the port itself.
        const watch = 'type filter hook prerouting priority 300;';
        run('nft', `table inet watch { chain in { ${watch} iifname ${a1.hostInterface} counter; }; }`);
        inside('ip neigh replace 172.17.0.1 lladdr 01:80:c2:00:00:0e dev eth0 nud permanent');
        await a1.agent.ask('udp', outside.ipv4, 53, 200);
        inside('ip neigh del 172.17.0.1 dev eth0');
        assert.match(run('nft', 'list', 'table', 'inet', 'watch'), /counter packets 0/);
        assert.equal(await a1.agent.ask('tcp', a2.ipv4, 80), 'a2 172.17.0.2', 'an honest one works again');
      });
    });
  });

  describe('tables of others', () => {
    const drops = async () => (await firewall.foreignDrops()).map(({ table, chain }) => `${table} ${chain}`);
    const chain = (policy: string, rules = '') =>
      `table inet other { chain passing { type filter hook forward priority 0; policy ${policy}; ${rules}\n }; }`;

    it('that drop our traffic are named, with chain and rule', async () => {
      await withFirewall({}, async () => {
        assert.deepEqual(await drops(), []);
        const cases: [string, string[]][] = [
          [chain('accept'), []],
          [chain('drop'), ['inet other passing']],
          [
            chain('drop', 'ct state established,related accept; meta l4proto icmp accept'),
            ['inet other passing'],
          ],
          [chain('drop', 'iifname "br-*" accept; oifname "br-*" accept'), []],
          [chain('drop', 'iifname "br-*" accept; ct status dnat accept'), []],
          [chain('drop', 'iifname "br-a" accept; oifname "br-a" accept'), ['inet other passing']],
          [
            chain('drop', 'ip saddr 172.16.0.0/12 accept; ip6 saddr fd00::/8 accept; ct status dnat accept'),
            [],
          ],
          [chain('accept', 'iifname "docker0" accept; ct state new reject'), ['inet other passing']],
          [chain('accept', 'ip daddr 10.0.0.0/8 drop'), []],
        ];
        for (const [rules, expected] of cases) {
          run('nft', rules);
          assert.deepEqual(await drops(), expected, rules);
          run('nft', 'delete', 'table', 'inet', 'other');
        }
        run('nft', `table inet other { chain deny { oifname "br-b" counter drop; }; }`);
        run('nft', chain('accept', 'jump deny'));
        const [drop] = await firewall.foreignDrops();
        assert.match(
          drop?.reason ?? '',
          /^the rule with handle \d+ of chain "deny" drops IPv4 connections to published ports behind br-b \(see nft -a list chain inet other deny\): let its chain "passing" accept/,
        );
      });
    });

    it('of iptables are read too', { skip: spawnSync('iptables-nft', ['-V']).status !== 0 }, async () => {
      await withFirewall({}, async () => {
        const iptables = (...args: string[]) => run('iptables-nft', ...args);
        iptables('-P', 'FORWARD', 'DROP');
        iptables('-N', 'DOCKER-USER');
        iptables('-A', 'FORWARD', '-j', 'DOCKER-USER');
        iptables('-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT');
        iptables('-A', 'FORWARD', '-i', 'docker0', '-j', 'ACCEPT', '-m', 'comment', '--comment', 'docker');
        const [drop] = await firewall.foreignDrops();
        assert.equal(drop?.table, 'ip filter');
        assert.match(
          drop?.reason ?? '',
          /policy of chain "FORWARD" drops IPv4 connections of containers behind br-a/,
        );
        assert.equal(await a1.agent.ask('tcp', outside.ipv4, 80, 300), 'timeout', 'and so it is');
        for (const side of ['-i', '-o']) iptables('-I', 'DOCKER-USER', side, 'br-+', '-j', 'ACCEPT');
        assert.deepEqual(await drops(), []);
        assert.match(await a1.agent.ask('tcp', outside.ipv4, 80), /^outside /);
      });
    });
  });
}
