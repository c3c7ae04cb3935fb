/**
 * The name server on a real kernel. The file runs itself again in network and mount namespaces of its own, which stand
 * for the host; further network namespaces are containers and the machine where the name servers are.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import { Admission } from '../egress/admission.ts';
import { parseEgress } from '../egress/policy.ts';
import { removeNetns } from '../netns-pool.ts';
import { OWN_NETNS } from '../own-netns-fixture.ts';
import {
  answerBytes,
  exchangeTcp,
  exchangeUdp,
  queryBytes,
  questionName,
  type Reply,
  readReply,
  resourceRecord,
  type Script,
  TYPES,
  tcpSocket,
  UpstreamFixture,
  wireName,
} from './dns-fixture.ts';
import type { DnsServerOptions } from './dns-server.ts';
import { type AdmittedAddress, type DnsSandbox, DnsServer } from './dns-server.ts';
import { HostServers } from './host-servers.ts';

if (OWN_NETNS.inside) suite();
else it(OWN_NETNS.title, OWN_NETNS.options(), () => OWN_NETNS.run(import.meta.filename));

function suite(): void {
  const HOST = '192.0.2.1';
  const FIRST = '192.0.2.53';
  const SECOND = '192.0.2.54';
  const NOBODY = '192.0.2.99';
  /** Between the container itself and its own name server. */
  const CONTAINER = '198.51.100.2';
  const OWN_SERVER = '198.51.100.53';

  let directory = '';
  let container = '';
  let outside = '';
  let first: UpstreamFixture;
  let second: UpstreamFixture;
  let own: UpstreamFixture;
  let resolvConf = '';
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' });
  const inside = (netns: string, ...command: string[]) => run('nsenter', `--net=${netns}`, ...command);

  const ADDRESSES: Record<string, string[]> = {
    web: ['172.18.0.2', 'fd00::2'],
    'web.net': ['172.18.0.2'],
    'four-only': ['172.18.0.3'],
    service: ['172.18.0.4', '172.18.0.5', '172.18.0.6'],
    many: Array.from({ length: 100 }, (_, index) => `172.18.1.${index}`),
  };
  const names: DnsServerOptions['names'] = {
    forward: (id, name) => (id === 'c' ? ADDRESSES[name] : undefined),
    reverse: (id, address) =>
      id === 'c' && ['172.18.0.2', 'fd00::2'].includes(address) ? 'web.net' : undefined,
  };

  const address = (text: string) => Buffer.from(text.split('.').map(Number));
  /** Every name has this address. */
  const answering =
    (text: string): Script =>
    (query) =>
      answerBytes(query, 0, [resourceRecord(questionName(query), TYPES.A, 30, address(text))]);
  const failing =
    (rcode: number): Script =>
    (query) =>
      answerBytes(query, rcode, []);

  /** A server with its sandbox `c` open in the container, until `body` ends. */
  async function withServer(
    settings: Partial<DnsSandbox>,
    body: (server: DnsServer) => Promise<void>,
    options: Partial<DnsServerOptions> = {},
  ): Promise<void> {
    const server = makeServer(options);
    await server.open(sandbox(settings));
    try {
      await body(server);
    } finally {
      await server.shutdown();
    }
  }

  const makeServer = (options: Partial<DnsServerOptions> = {}) =>
    new DnsServer({ names, hostServers: new HostServers(() => resolvConf), ...options });

  const sandbox = (settings: Partial<DnsSandbox> = {}): DnsSandbox => ({
    containerId: 'c',
    netnsPath: container,
    servers: [],
    external: true,
    policy: null,
    ...settings,
  });

  async function ask(name: string, options: Parameters<typeof queryBytes>[1] = {}): Promise<Reply> {
    const answer = await exchangeUdp(container, queryBytes(name, options));
    assert.ok(typeof answer !== 'string', `${name}: ${String(answer)}`);
    return readReply(answer);
  }

  /** Output of a program inside the container, while this process answers it. */
  async function program(...command: string[]): Promise<string> {
    const child = spawn('nsenter', [`--net=${container}`, ...command], { timeout: 60_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
    await once(child, 'close');
    return output;
  }

  const has = (name: string) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0;

  before(async () => {
    log.level = 'fatal';
    directory = mkdtempSync(join(tmpdir(), 'mydock-dns-'));
    [container, outside] = [join(directory, 'container'), join(directory, 'outside')];
    run('ip', 'link', 'set', 'lo', 'up');
    await addon().createNetns(outside);
    await addon().createNetns(container);
    connect(null, 'up0', `${HOST}/24`, outside, 'eth0', [`${FIRST}/24`, `${SECOND}/24`]);
    connect(outside, 'eth1', `${OWN_SERVER}/24`, container, 'eth0', [`${CONTAINER}/24`]);
    first = new UpstreamFixture(outside, FIRST, answering('203.0.113.1'));
    second = new UpstreamFixture(outside, SECOND, answering('203.0.113.2'));
    own = new UpstreamFixture(outside, OWN_SERVER, answering('203.0.113.3'));
  });

  /** A cable between two namespaces (null: the process's own). */
  function connect(
    here: string | null,
    hereName: string,
    hereAddress: string,
    there: string,
    thereName: string,
    thereAddresses: string[],
  ): void {
    const ip = (netns: string | null, ...args: string[]) =>
      netns === null ? run('ip', ...args) : inside(netns, 'ip', ...args);
    ip(here, 'link', 'add', hereName, 'type', 'veth', 'peer', 'name', `p-${thereName}`);
    // `ip link set netns` takes a name below /run/netns or a process.
    const holder = spawn('nsenter', [`--net=${there}`, 'sleep', '60'], { stdio: 'ignore' });
    for (let tries = 0; tries < 200; tries++) {
      if (run('readlink', `/proc/${holder.pid}/ns/net`) === inside(there, 'readlink', '/proc/self/ns/net'))
        break;
      run('sleep', '0.01');
    }
    ip(here, 'link', 'set', `p-${thereName}`, 'netns', String(holder.pid));
    holder.kill('SIGKILL');
    ip(there, 'link', 'set', `p-${thereName}`, 'name', thereName);
    ip(here, 'addr', 'add', hereAddress, 'dev', hereName);
    ip(here, 'link', 'set', hereName, 'up');
    for (const each of thereAddresses) ip(there, 'addr', 'add', each, 'dev', thereName);
    ip(there, 'link', 'set', thereName, 'up');
  }

  beforeEach(() => {
    resolvConf = `nameserver ${FIRST}\nnameserver ${SECOND}\n`;
    first.script = answering('203.0.113.1');
    second.script = answering('203.0.113.2');
    own.script = answering('203.0.113.3');
    for (const each of [first, second, own]) each.queries.length = 0;
  });

  after(() => {
    for (const each of [first, second, own]) each.close();
    for (const path of [container, outside]) removeNetns(path);
    rmSync(directory, { recursive: true });
  });

  describe('names of containers', () => {
    it('have their addresses by family, with the case that was asked and a TTL of 600', async () => {
      await withServer({}, async () => {
        const reply = await ask('WeB', { id: 4711 });
        assert.deepEqual([reply.id, reply.rcode, reply.name], [4711, 0, 'WeB']);
        assert.deepEqual([reply.answers, reply.ttls], [['172.18.0.2'], [600]]);
        const six = await ask('web', { type: TYPES.AAAA });
        assert.deepEqual(six.answers, ['fd000000000000000000000000000002']);
        assert.deepEqual((await ask('web', { type: TYPES.ANY })).answers.length, 2);
        assert.deepEqual((await ask('WEB.Net')).answers, ['172.18.0.2']);
      });
    });

    it('are empty, not forwarded, for what they do not have', async () => {
      await withServer({}, async () => {
        for (const [name, type] of [
          ['four-only', TYPES.AAAA],
          ['web', TYPES.MX],
          ['web', TYPES.TXT],
        ] as const) {
          const reply = await ask(name, { type });
          assert.deepEqual([reply.rcode, reply.answers], [0, []], name);
        }
        assert.equal(first.queries.length, 0);
      });
    });

    it('with several addresses give each a share of the clients, also to those that ask for both families', async () => {
      await withServer({}, async () => {
        const firsts = new Map<string, number>();
        for (let count = 0; count < 60; count++) {
          const { answers } = await ask('service');
          await ask('service', { type: TYPES.AAAA });
          assert.deepEqual(answers.toSorted(), ADDRESSES['service']);
          const [first = ''] = answers;
          firsts.set(first, (firsts.get(first) ?? 0) + 1);
        }
        // Fewer than five of sixty for one of three come in three of a million runs.
        assert.ok(
          firsts.size === 3 && [...firsts.values()].every((count) => count >= 5),
          String([...firsts]),
        );
      });
    });

    it('are found by address in both families', async () => {
      await withServer({}, async () => {
        const six = '2'.padEnd(28, '0').padEnd(30, '0').concat('df').split('').join('.');
        for (const name of ['2.0.18.172.in-addr.arpa', `${six}.ip6.arpa`]) {
          const { answers } = await ask(name, { type: TYPES.PTR });
          assert.deepEqual(answers, [wireName('web.net').toString('hex')], name);
        }
        await ask('9.0.18.172.in-addr.arpa', { type: TYPES.PTR });
        assert.deepEqual(
          first.queries.map(({ name }) => name),
          ['9.0.18.172.in-addr.arpa'],
        );
      });
    });

    it('that do not fit are cut, and whole with EDNS or over TCP', async () => {
      await withServer({}, async () => {
        const cut = await ask('many');
        assert.equal(cut.truncated, true);
        assert.ok(cut.bytes.length <= 512 && cut.answers.length >= 30);
        const edns = await ask('many', { edns: 4096, dnssecOk: true });
        assert.deepEqual([edns.truncated, edns.answers.length], [false, 100]);
        assert.deepEqual(edns.edns, { payload: 4096, dnssecOk: true, extendedRcode: 0 });
        const [tcp] = await exchangeTcp(container, [queryBytes('many')]);
        assert.ok(tcp !== undefined);
        assert.equal(readReply(tcp).answers.length, 100);
      });
    });

    it('are only those of the container that asks', async () => {
      await withServer({}, async (server) => {
        const other = join(directory, 'other');
        await addon().createNetns(other);
        await server.open(sandbox({ containerId: 'd', netnsPath: other, external: false }));
        const answer = await exchangeUdp(other, queryBytes('web'));
        assert.equal(typeof answer === 'string' ? answer : readReply(answer).rcode, 2);
        server.close('d');
        removeNetns(other);
      });
    });
  });

  describe('clients', () => {
    it('that send what is no query get FORMERR, NOTIMP, BADVERS or nothing', async () => {
      await withServer({}, async () => {
        const twoQuestions = Buffer.from(queryBytes('web'));
        twoQuestions[5] = 2;
        const update = Buffer.from(queryBytes('web'));
        update[2] = 0x28;
        const rcode = async (message: Buffer) => {
          const answer = await exchangeUdp(container, message, { timeoutMs: 200 });
          return typeof answer === 'string' ? answer : readReply(answer).rcode;
        };
        assert.equal(await rcode(twoQuestions), 1);
        assert.equal(await rcode(update), 4);
        assert.equal(await rcode(Buffer.from('x')), 'timeout');
        const answer = Buffer.from(queryBytes('web'));
        answer[2] = 0x81;
        assert.equal(await rcode(answer), 'timeout');
        assert.equal((await ask('web', { edns: 1232, version: 1 })).edns?.extendedRcode, 1);
      });
    });

    it('get many answers over one TCP connection, and no endless one', async () => {
      await withServer({}, async () => {
        const asked = Array.from({ length: 300 }, (_, id) =>
          queryBytes(id % 2 === 0 ? 'web' : 'other.test', { id }),
        );
        const answers = await exchangeTcp(container, asked);
        assert.deepEqual(
          answers.map((answer) => answer.readUInt16BE(0)).toSorted((a, b) => a - b),
          asked.map((_, id) => id),
        );
        const long = tcpSocket(container);
        long.on('error', () => undefined);
        long.connect(53, '127.0.0.11');
        long.write(Buffer.from([0xff, 0xff, 1, 2, 3]));
        long.resume();
        await once(long, 'close', { signal: AbortSignal.timeout(60_000) });
      });
    });

    it('get their answers over connections no faster than the daemon wants', async () => {
      await withServer({}, async () => {
        const asked = Array.from({ length: 1000 }, (_, id) => queryBytes('web', { id }));
        const begin = performance.now();
        const all = await Promise.all([exchangeTcp(container, asked), exchangeTcp(container, asked)]);
        assert.deepEqual(
          all.map((answers) => answers.length),
          [1000, 1000],
        );
        // A hundred in 20 ms.
        assert.ok(performance.now() - begin > 350, `${performance.now() - begin} ms`);
      });
    });

    it('hold at most 32 connections, and others get theirs when those end', async () => {
      await withServer({}, async () => {
        const sockets = Array.from({ length: 60 }, () => tcpSocket(container));
        let open = 0;
        for (const socket of sockets) {
          open += 1;
          socket.on('error', () => undefined);
          socket.on('close', () => (open -= 1));
          socket.connect(53, '127.0.0.11', () => socket.resume());
        }
        for (let tries = 0; tries < 1500 && open > 32; tries++) await sleep(20);
        assert.equal(open, 32);
        assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
        for (const socket of sockets) socket.destroy();
        await sleep(50);
        assert.equal((await exchangeTcp(container, [queryBytes('web')])).length, 1);
      });
    });

    it('can bind port 53 of every address themselves', async () => {
      await withServer({}, async () => {
        const mine = new UpstreamFixture(container, '0.0.0.0', answering('203.0.113.77'));
        try {
          assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
          assert.equal((await exchangeTcp(container, [queryBytes('web')])).length, 1);
          assert.equal(mine.queries.length, 0);
          for (const target of ['127.0.0.1', CONTAINER]) {
            const answer = await exchangeUdp(container, queryBytes('web'), { address: target });
            assert.ok(typeof answer !== 'string');
            assert.match(readReply(answer).answers.join(), /203\.0\.113\.77|cb00714d/, target);
            assert.equal((await exchangeTcp(container, [queryBytes('web')], target)).length, 1);
          }
          assert.equal(mine.queries.length, 4);
        } finally {
          mine.close();
        }
      });
    });

    it('cannot take the port of the resolver', async () => {
      const server = makeServer();
      const { udpPort } = await server.open(sandbox());
      assert.throws(() => addon().bindPort('udp', '0.0.0.0', udpPort, container), { code: 'EADDRINUSE' });
      const script = `import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.11', ${udpPort}))`;
      if (has('python3')) assert.match(await program('python3', '-c', script), /Address already in use/);
      await server.shutdown();
    });

    it('of all kinds understand the answers', async (test) => {
      await withServer({}, async () => {
        // In this mount namespace only.
        const file = join(directory, 'resolv.conf');
        writeFileSync(file, 'nameserver 127.0.0.11\noptions ndots:0\n');
        run('mount', '--bind', file, '/etc/resolv.conf');
        try {
          assert.match(await program('getent', 'ahostsv4', 'web'), /^172\.18\.0\.2\s+STREAM/m, 'glibc');
          assert.match(await program('getent', 'ahostsv6', 'web'), /^fd00::2\s+STREAM/m, 'glibc');
          assert.match(await program('getent', 'hosts', '172.18.0.2'), /web\.net/, 'glibc');
          assert.match(await program('getent', 'ahostsv4', 'host.example'), /203\.0\.113\.1/, 'glibc');
          if (has('dig')) {
            const output = await program('dig', 'service');
            assert.match(output, /status: NOERROR/);
            assert.match(output, /EDNS: version: 0, flags:; udp: 4096/);
            assert.equal(output.match(/^service\.\s+600\s+IN\s+A\s+172\.18\.0\.[456]$/gm)?.length, 3);
            assert.equal((await program('dig', '+tcp', '+short', '-x', 'fd00::2')).trim(), 'web.net.');
            assert.doesNotMatch(await program('dig', '+ignore', 'many'), /malformed|WARNING|extra/i);
          } else test.diagnostic('dig is not installed');
          if (has('busybox')) {
            assert.match(await program('busybox', 'nslookup', 'web', '127.0.0.11'), /172\.18\.0\.2/);
          } else test.diagnostic('busybox is not installed');
        } finally {
          run('umount', '/etc/resolv.conf');
        }
      });
    });
  });

  describe('other names', () => {
    it("go to the host's servers from its namespace, and come back as they are", async () => {
      await withServer({}, async () => {
        const tail = Buffer.from('000102030405', 'hex');
        first.script = (query) =>
          answerBytes(query, 0, [
            resourceRecord('UnKnown.example', 65, 7, tail),
            resourceRecord('x', 16, 1, Buffer.alloc(200, 'y')),
          ]);
        const query = queryBytes('uNkNown.example', { type: 65, edns: 1232, id: 99 });
        const answer = await exchangeUdp(container, query);
        assert.ok(typeof answer !== 'string');
        assert.deepEqual(answer, first.script(query, 'udp'));
        assert.deepEqual(
          first.queries.map(({ name, from }) => [name, from]),
          [['uNkNown.example', HOST]],
        );
      });
    });

    it("with --dns go to those servers, from inside the container's namespace", async () => {
      await withServer({ servers: [OWN_SERVER] }, async () => {
        assert.deepEqual((await ask('x.example')).answers, ['203.0.113.3']);
        assert.deepEqual(
          own.queries.map(({ from }) => from),
          [CONTAINER],
        );
        own.script = (query, transport) =>
          transport === 'udp'
            ? answerBytes(query, 0, [], 0x200)
            : answerBytes(
                query,
                0,
                Array(60).fill(resourceRecord('big.example', 1, 9, address('192.0.2.7'))),
              );
        assert.equal((await ask('big.example', { edns: 4096 })).answers.length, 60);
        assert.equal(own.queries.at(-1)?.from, CONTAINER);
      });
    });

    it('have a fresh ID and source port each', async () => {
      await withServer({}, async () => {
        await Promise.all(Array.from({ length: 50 }, () => ask('x.example', { id: 7 })));
        assert.equal(first.queries.length, 50);
        assert.ok(new Set(first.queries.map(({ id }) => id)).size > 45);
        assert.ok(new Set(first.queries.map(({ port }) => port)).size > 45);
      });
    });

    it('have ports of their own also inside the container', async () => {
      await withServer({ servers: [OWN_SERVER] }, async () => {
        own.script = () => undefined;
        const asked = Array.from({ length: 120 }, (_, id) =>
          exchangeUdp(container, queryBytes('x.example', { id }), { timeoutMs: 900 }),
        );
        await Promise.all(asked);
        const ports = own.queries.map(({ port }) => port);
        assert.equal(ports.length, 120);
        assert.equal(new Set(ports).size, ports.length);
      });
    });

    it('follow a changed resolv.conf within a second', async () => {
      await withServer({}, async () => {
        assert.deepEqual((await ask('x.example')).answers, ['203.0.113.1']);
        resolvConf = `nameserver ${SECOND}\n`;
        // Looked at once a second; a busy machine takes longer.
        let answers: readonly string[] = [];
        for (let tries = 0; tries < 60 && answers[0] !== '203.0.113.2'; tries++) {
          await sleep(500);
          ({ answers } = await ask('x.example'));
        }
        assert.deepEqual(answers, ['203.0.113.2']);
      });
    });

    it('are asked of the next server where one fails, refuses, is closed or silent', async () => {
      for (const rcode of [2, 5, 4]) {
        first.script = failing(rcode);
        await withServer({}, async () => assert.deepEqual((await ask('x.example')).answers, ['203.0.113.2']));
      }
      resolvConf = `nameserver ${HOST}\nnameserver ${SECOND}\n`;
      await withServer({}, async () => assert.deepEqual((await ask('x.example')).answers, ['203.0.113.2']));
      for (const silent of [FIRST, NOBODY]) {
        first.script = () => undefined;
        resolvConf = `nameserver ${silent}\nnameserver ${SECOND}\n`;
        await withServer({}, async () => {
          const started = performance.now();
          assert.deepEqual((await ask('x.example')).answers, ['203.0.113.2']);
          const firstMs = performance.now() - started;
          // The quickest of some: each would wait for the silent one.
          let quickestMs = Number.POSITIVE_INFINITY;
          for (const name of ['a', 'b', 'c', 'd', 'e']) {
            const again = performance.now();
            assert.deepEqual((await ask(`${name}.example`)).answers, ['203.0.113.2']);
            quickestMs = Math.min(quickestMs, performance.now() - again);
          }
          assert.ok(quickestMs < Math.max(500, firstMs), 'the silent one comes last');
        });
      }
    });

    it('are asked again where a datagram was lost', async () => {
      resolvConf = `nameserver ${FIRST}\n`;
      const answer = answering('203.0.113.1');
      first.script = (query, transport) => (first.queries.length < 2 ? undefined : answer(query, transport));
      await withServer({}, async () => assert.deepEqual((await ask('x.example')).answers, ['203.0.113.1']));
    });

    it('end with a failure before clients give up, where one server fails and the other is silent', async () => {
      first.script = () => undefined;
      second.script = failing(2);
      await withServer({}, async () => {
        const answer = await exchangeUdp(container, queryBytes('x.example'), { timeoutMs: 4500 });
        assert.equal(typeof answer === 'string' ? answer : readReply(answer).rcode, 2);
      });
    });

    it('end with what the servers said, where all fail', async () => {
      first.script = failing(5);
      second.script = failing(2);
      await withServer({}, async () => {
        assert.equal((await ask('x.example')).rcode, 5);
        assert.equal(first.queries.length, 1);
        first.script = failing(3);
        const nameError = await ask('x.example');
        assert.deepEqual([nameError.rcode, second.queries.length], [3, 1], 'NXDOMAIN is an answer');
      });
      resolvConf = `nameserver ${HOST}\n`;
      await withServer({}, async () => assert.equal((await ask('x.example')).rcode, 2));
    });

    it('are asked over TCP where the answer is cut, and the cut one is passed on to who takes no more', async () => {
      first.script = (query, transport) =>
        transport === 'udp'
          ? answerBytes(query, 0, [], 0x200)
          : answerBytes(query, 0, Array(60).fill(resourceRecord('big.example', 1, 9, address('192.0.2.7'))));
      await withServer({}, async () => {
        assert.equal((await ask('big.example')).truncated, true);
        assert.equal(
          first.queries.some(({ transport }) => transport === 'tcp'),
          false,
        );
        assert.equal((await ask('big.example', { edns: 4096 })).answers.length, 60);
        const [tcp] = await exchangeTcp(container, [queryBytes('big.example')]);
        assert.equal(tcp?.readUInt16BE(6), 60);
      });
    });

    it('that are answered with more than the client takes are cut', async () => {
      first.script = (query) =>
        answerBytes(query, 0, Array(60).fill(resourceRecord('big.example', 1, 9, address('192.0.2.7'))));
      await withServer({}, async () => {
        const reply = await ask('big.example');
        assert.deepEqual([reply.truncated, reply.answers.length, reply.name], [true, 0, 'big.example']);
      });
    });

    it('take no answer with another ID or question', async () => {
      first.script = (query, transport) => {
        const forged = answering('198.51.100.66')(query, transport) as Buffer;
        const wrongId = Buffer.from(forged);
        wrongId[1] = (wrongId[1] ?? 0) ^ 1;
        const wrongName = Buffer.from(forged);
        wrongName[13] = 'z'.charCodeAt(0);
        const wrongType = Buffer.from(forged);
        wrongType[12 + wireName('x.example').length + 1] = TYPES.TXT;
        const right = answering('203.0.113.1')(query, transport) as Buffer;
        return [wrongId, wrongName, wrongType, Buffer.from('rubbish'), right];
      };
      await withServer({}, async () => assert.deepEqual((await ask('x.example')).answers, ['203.0.113.1']));
    });

    it('are SERVFAIL on internal networks, and follow when that changes', async () => {
      await withServer({ external: false }, async (server) => {
        assert.equal((await ask('x.example')).rcode, 2);
        assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
        assert.equal(first.queries.length, 0);
        await server.open(sandbox({ external: true }));
        assert.deepEqual((await ask('x.example')).answers, ['203.0.113.1']);
      });
    });
  });

  describe('egress policies', () => {
    const policy = parseEgress('allow=allowed.example,*.below.example,192.0.2.0/24');
    const admission = new Admission(() => ['203.0.113.200']);

    it('let only their names through, and count the others', async () => {
      await withServer({ policy }, async (server) => {
        assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
        for (const name of [
          'other.example',
          'below.example',
          'x.allowed.example',
          '1.113.0.203.in-addr.arpa',
        ]) {
          assert.equal((await ask(name)).rcode, 3, name);
        }
        const dotted = queryBytes('evilXbelow.example');
        dotted[12 + 1 + 4] = '.'.charCodeAt(0);
        const answer = await exchangeUdp(container, dotted);
        assert.ok(typeof answer !== 'string');
        assert.equal(readReply(answer).rcode, 3, 'a dot inside a label is no dot between labels');
        assert.equal(first.queries.length, 0);
        for (const name of ['ALLOWED.example', 'a.b.below.example', '7.2.0.192.in-addr.arpa']) {
          assert.equal((await ask(name)).rcode, 0, name);
        }
        assert.equal(first.queries.length, 3);
        const refused = server.refusedNames('c');
        assert.equal(refused?.queries, 5);
        assert.deepEqual(
          refused?.recent.map(({ name }) => name),
          [
            '(unprintable)',
            '1.113.0.203.in-addr.arpa',
            'x.allowed.example',
            'below.example',
            'other.example',
          ],
        );
        assert.equal(server.refusedNames('d'), undefined);
      });
    });

    it('hand addresses over before the container hears of them', async () => {
      const events: string[] = [];
      const given: [string, string, AdmittedAddress[]][] = [];
      const onAnswer = async (...all: [string, string, AdmittedAddress[]]) => {
        given.push(all);
        await sleep(50);
        events.push('admitted');
      };
      await withServer(
        { policy },
        async () => {
          first.script = (query) =>
            answerBytes(query, 0, [
              resourceRecord('Allowed.example', TYPES.CNAME, 9, wireName('cdn.test')),
              resourceRecord('cdn.test', TYPES.A, 3600, address('203.0.113.7')),
              resourceRecord('cdn.test', TYPES.A, 5, address('203.0.113.8')),
              resourceRecord('unasked.test', TYPES.A, 5, address('203.0.113.9')),
              resourceRecord('cdn.test', TYPES.A, 5, address('169.254.169.254')),
              resourceRecord('cdn.test', TYPES.A, 5, address('10.0.0.1')),
              resourceRecord('cdn.test', TYPES.A, 5, address('203.0.113.200')),
            ]);
          await ask('allowed.example', { edns: 4096 }).catch(() => undefined);
          events.push('answered');
          assert.deepEqual(events, ['admitted', 'answered']);
          assert.deepEqual(given, [
            [
              'c',
              'allowed.example',
              [
                { address: '203.0.113.7', ttlSec: 3900 },
                { address: '203.0.113.8', ttlSec: 360 },
              ],
            ],
          ]);
        },
        { onAnswer, admission },
      );
    });

    it('give SERVFAIL where the firewall cannot take the address', async () => {
      const onAnswer = () => Promise.reject(new Error('full'));
      await withServer({ policy }, async () => assert.equal((await ask('allowed.example')).rcode, 2), {
        onAnswer,
      });
    });

    it("ask --dns servers from the host's namespace, which the policy does not bind", async () => {
      await withServer({ policy, servers: [SECOND] }, async () => {
        assert.deepEqual((await ask('allowed.example')).answers, ['203.0.113.2']);
        assert.deepEqual(
          second.queries.map(({ from }) => from),
          [HOST],
        );
      });
    });
  });

  describe('a daemon that starts again', () => {
    it('takes the same ports, leaves the rules, and answers clients that asked meanwhile', async () => {
      const earlier = makeServer();
      const ports = await earlier.open(sandbox());
      const rules = inside(container, 'nft', '-a', 'list', 'ruleset');
      await earlier.shutdown();
      assert.equal(
        await exchangeUdp(container, queryBytes('web'), { timeoutMs: 100 }),
        'timeout',
        'not refused',
      );
      const waiting = exchangeTcp(container, [queryBytes('web')]);
      await sleep(100);
      const later = makeServer();
      assert.deepEqual(await later.open(sandbox({ ports })), ports);
      assert.equal(inside(container, 'nft', '-a', 'list', 'ruleset'), rules);
      assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
      assert.equal((await waiting).length, 1, 'TCP connects at the second try');
      await later.shutdown();
    });

    it('takes others where those are taken, and puts rules back that are gone', async () => {
      const earlier = makeServer();
      const ports = await earlier.open(sandbox());
      await earlier.shutdown();
      const taken = addon().bindPort('udp', '127.0.0.11', ports.udpPort, container);
      const later = makeServer();
      const others = await later.open(sandbox({ ports }));
      assert.notEqual(others.udpPort, ports.udpPort);
      assert.equal(others.tcpPort, ports.tcpPort);
      assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
      await later.shutdown();
      closeSync(taken);
      inside(container, 'nft', 'flush', 'ruleset');
      const last = makeServer();
      assert.deepEqual(await last.open(sandbox({ ports: others })), others);
      assert.deepEqual((await ask('web')).answers, ['172.18.0.2']);
      assert.equal((await exchangeTcp(container, [queryBytes('web')])).length, 1);
      await last.shutdown();
    });

    it('leads flows of before to its new ports', async () => {
      const socket = createSocket('udp4');
      socket.bind({ fd: addon().openSocket('udp', 4, container) });
      socket.connect(53, '127.0.0.11');
      await once(socket, 'connect');
      for (const server of [makeServer(), makeServer(), makeServer()]) {
        await server.open(sandbox());
        socket.send(queryBytes('web'));
        await once(socket, 'message', { signal: AbortSignal.timeout(60_000) });
        await server.shutdown();
      }
      socket.close();
    });

    it('says so where the namespace is gone, and keeps nothing', async () => {
      const server = makeServer();
      await assert.rejects(server.open(sandbox({ netnsPath: join(directory, 'gone') })), { code: 'ENOENT' });
      assert.equal(server.refusedNames('c'), undefined);
      server.close('c');
      await server.shutdown();
    });
  });

  describe('under load', () => {
    it('answers 1,000 queries that come at once, ours and others', async (test) => {
      await withServer({}, async () => {
        for (const name of ['web', 'x.example']) {
          const started = performance.now();
          const replies = await burst(name, 1000);
          test.diagnostic(`${name}: 1,000 at once in ${Math.round(performance.now() - started)} ms`);
          assert.equal(replies, 1000, name);
        }
      });
    });

    /** Many queries from one socket, sent again after a second as clients do; how many were answered. */
    async function burst(name: string, count: number): Promise<number> {
      const socket = createSocket('udp4');
      socket.bind({ fd: addon().openSocket('udp', 4, container) });
      const open = new Set(Array.from({ length: count }, (_, id) => id));
      socket.on('message', (message) => {
        if ((message.readUInt16BE(2) & 15) === 0 && message.readUInt16BE(6) > 0)
          open.delete(message.readUInt16BE(0));
      });
      socket.connect(53, '127.0.0.11');
      await once(socket, 'connect');
      for (let round = 0; round < 30 && open.size > 0; round++) {
        for (const id of open) socket.send(queryBytes(name, { id }));
        for (let waited = 0; waited < 1000 && open.size > 0; waited += 5) await sleep(5);
      }
      socket.close();
      return count - open.size;
    }

    it('leaves no socket behind', async () => {
      const sockets = () => process.getActiveResourcesInfo().filter((name) => /UDP|TCP/i.test(name)).length;
      // Those of the tests before close a little later.
      for (let last = -1; last !== sockets(); await sleep(50)) last = sockets();
      const before = sockets();
      for (const servers of [[], [OWN_SERVER, NOBODY]]) {
        await withServer({ servers }, async () => {
          for (const each of [first, second, own]) each.script = () => undefined;
          const asked = ['a.example', 'b.example'].map((name) =>
            exchangeUdp(container, queryBytes(name), { timeoutMs: 100 }),
          );
          assert.deepEqual(await Promise.all(asked), ['timeout', 'timeout']);
          assert.ok(sockets() > before);
        });
        for (let tries = 0; tries < 1500 && sockets() !== before; tries++) await sleep(20);
        assert.equal(sockets(), before);
      }
    });
  });
}
