/** `--egress`: a container reaches what its policy names, by name and by subnet, and nothing else. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { EgressState } from '../../../src/api/containers.ts';
import {
  answerBytes,
  questionName,
  resourceRecord,
  UpstreamFixture,
  wireName,
} from '../../../src/network/dns/dns-fixture.ts';
import { eventually, run } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const HOST_ADDRESS = '203.0.113.1';
/** Of the other machine. */
const [BY_NAME, BY_SUBNET, UNNAMED] = ['203.0.113.7', '203.0.113.8', '203.0.113.9'];
const NAME_SERVER = '127.0.0.2';
const ALIAS = 5;
const ADDRESS = 1;

let daemon: Daemon;
let close: () => Promise<void>;
let nameServer: UpstreamFixture;
let webServer: ChildProcess;
let folder = '';

/** Names end as they are answered: `by-name.test` leads over an alias to the first address. */
function script(query: Buffer): Buffer {
  const name = questionName(query);
  const address = (owner: string, text: string) =>
    resourceRecord(owner, ADDRESS, 5, Buffer.from(text.split('.').map(Number)));
  if (query[query.indexOf(0, 12) + 2] !== ADDRESS) return answerBytes(query, 0, []);
  if (name.startsWith('rebind')) return answerBytes(query, 0, [address(name, HOST_ADDRESS)]);
  const alias = resourceRecord(name, ALIAS, 5, wireName('cdn.test'));
  return answerBytes(query, 0, [alias, address('cdn.test', name.startsWith('other') ? UNNAMED : BY_NAME)]);
}

before(async () => {
  const addresses = [BY_NAME, BY_SUBNET, UNNAMED].map(
    (each) => `ip -n testoutside addr add ${each}/24 dev testout1`,
  );
  const setUp = [
    'ip netns add testoutside',
    'ip link add testout0 type veth peer name testout1 netns testoutside',
    `ip addr add ${HOST_ADDRESS}/24 dev testout0`,
    'ip link set testout0 up',
    'ip -n testoutside link set lo up',
    ...addresses,
    'ip -n testoutside link set testout1 up',
  ].join(' && ');
  const result = await run(['sh', '-c', setUp]);
  assert.equal(result.code, 0, result.stderr);
  const serve = `require('node:http').createServer((q, r) => r.end('from ' + q.socket.localAddress)).listen(80, '0.0.0.0')`;
  webServer = spawn('nsenter', ['--net=/run/netns/testoutside', process.execPath, '-e', serve], {
    stdio: 'ignore',
  });
  nameServer = new UpstreamFixture(null, NAME_SERVER, script);
  // The daemon sees this mount namespace.
  folder = mkdtempSync(join(tmpdir(), 'egress-'));
  writeFileSync(join(folder, 'resolv.conf'), `nameserver ${NAME_SERVER}\n`);
  assert.equal((await run(['mount', '--bind', join(folder, 'resolv.conf'), '/etc/resolv.conf'])).code, 0);
  ({ daemon, close } = await daemonWithBusybox());
});

after(async () => {
  try {
    await close();
  } finally {
    nameServer.close();
    webServer.kill('SIGKILL');
    await run(['umount', '/etc/resolv.conf']);
    await run(['ip', 'netns', 'del', 'testoutside']);
    rmSync(folder, { recursive: true });
  }
});

/** What a container gets from a server: its answer, what wget says, or `timed out`. */
async function get(container: string, host: string): Promise<string> {
  const command = ['timeout', '1', 'wget', '-q', '-O', '-', `http://${host}/`];
  const result = await daemon.mydock(['exec', container, ...command]);
  // By SIGTERM.
  if (result.code === 143) return 'timed out';
  return result.code === 0 ? result.stdout : result.stderr;
}

async function egress(container: string): Promise<EgressState> {
  const answer = await daemon.api('GET', `/containers/${container}/json`);
  const { Egress } = answer.json<{ Egress?: EgressState }>();
  assert.ok(Egress !== undefined, 'inspect tells of the policy');
  return Egress;
}

test('what is named is reached by name and by subnet, all else is refused and counted', async () => {
  const policy = `allow=by-name.test,*.below.test,rebind.test,${BY_SUBNET}`;
  await daemon.ok('run', '-d', '--name', 'tight', '--egress', policy, 'busybox', 'sleep', '1000');
  await eventually(
    'the other machine serves',
    async () => (await get('tight', BY_SUBNET)) === `from ${BY_SUBNET}`,
  );

  assert.match(await get('tight', BY_NAME), /Connection refused/, 'before its name was asked for');
  assert.equal(await get('tight', 'by-name.test'), `from ${BY_NAME}`);
  assert.equal(await get('tight', BY_NAME), `from ${BY_NAME}`);
  assert.equal(await get('tight', 'deep.below.test'), `from ${BY_NAME}`);
  assert.match(await get('tight', UNNAMED), /Connection refused/);
  assert.match(await get('tight', 'other.test'), /bad address/);
  assert.match(await get('tight', 'below.test'), /bad address/);
  assert.match(await get('tight', 'rebind.test'), /refused/, "a name does not open the host's own address");

  const report = await egress('tight');
  assert.deepEqual(report.Allowed, ['by-name.test', '*.below.test', 'rebind.test', `${BY_SUBNET}/32`]);
  assert.ok(report.BlockedPackets > 0);
  const recent = report.Recent.map(({ Destination }) => Destination).join(' ');
  assert.match(recent, /other\.test/);
  assert.ok(recent.includes(UNNAMED), recent);
  assert.equal(
    nameServer.queries.some(({ name }) => name === 'other.test'),
    false,
    'a name that is not allowed leaves the machine not even as a question',
  );
});

test('another container is free, and none is bound by a policy of its own "none"', async () => {
  await daemon.ok('run', '-d', '--name', 'free', 'busybox', 'sleep', '1000');
  assert.equal(await get('free', UNNAMED), `from ${UNNAMED}`);
  await daemon.ok('run', '-d', '--name', 'shut', '--egress', 'none', 'busybox', 'sleep', '1000');
  assert.match(await get('shut', BY_SUBNET), /Connection refused/);
  assert.match(await get('shut', 'by-name.test'), /bad address/);
});

test('a policy holds while the daemon is away and after it is back', async () => {
  await daemon.stop('SIGKILL');
  await daemon.launch();
  assert.equal(await get('tight', 'by-name.test'), `from ${BY_NAME}`);
  assert.match(await get('tight', UNNAMED), /Connection refused/);
  assert.match(await get('tight', 'other.test'), /bad address/);
  assert.match(await get('shut', BY_SUBNET), /Connection refused/);
});

test("a network's policy holds for its containers, which reach each other", async () => {
  await daemon.ok('network', 'create', '--egress', 'allow=by-name.test', 'narrow');
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'server',
    '--network',
    'narrow',
    'busybox',
    'httpd',
    '-f',
    '-p',
    '80',
    '-h',
    '/var/www',
  );
  await daemon.ok('run', '-d', '--name', 'asker', '--network', 'narrow', 'busybox', 'sleep', '1000');
  assert.match(await get('asker', 'server'), /served by mydock/);
  assert.equal(await get('asker', 'by-name.test'), `from ${BY_NAME}`);
  assert.match(await get('asker', BY_SUBNET), /Connection refused/);
  await daemon.ok('rm', '-f', 'server', 'asker');
  await daemon.ok('network', 'rm', 'narrow');
});
