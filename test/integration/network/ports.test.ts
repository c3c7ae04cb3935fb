/** Published ports: TCP, UDP, ranges, addresses, ephemeral ones; from the host, its loopbacks and another host. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, LiveCommand, type Result, run } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const HOST_ADDRESS = '192.0.2.1';
const PEER_ADDRESS = '192.0.2.2';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  // A second host: a network namespace that is reached over a veth pair, with no route to the containers.
  const setUp = [
    'ip netns add testpeer',
    'ip link add testhost type veth peer name testpeer netns testpeer',
    `ip addr add ${HOST_ADDRESS}/24 dev testhost`,
    'ip addr add 2001:db8::1/64 dev testhost nodad',
    'ip link set testhost up',
    'ip -n testpeer link set lo up',
    `ip -n testpeer addr add ${PEER_ADDRESS}/24 dev testpeer`,
    'ip -n testpeer link set testpeer up',
  ].join(' && ');
  const result = await run(['sh', '-c', setUp]);
  assert.equal(result.code, 0, result.stderr);
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => {
  await close();
  await run(['ip', 'netns', 'del', 'testpeer']);
});

const HTTPD = ['busybox', 'httpd', '-f', '-p', '80', '-h', '/var/www'];
const PAGE = 'served by mydock\n';

async function get(url: string, from: 'host' | 'peer' = 'host'): Promise<string> {
  const script = `fetch(process.argv[1], {signal: AbortSignal.timeout(3000)}).then(r => r.text()).then(t => process.stdout.write(t), e => { process.stderr.write(String(e.cause)); process.exitCode = 1 })`;
  const command = [process.execPath, '-e', script, url];
  const result: Result = await run(
    from === 'peer' ? ['ip', 'netns', 'exec', 'testpeer', ...command] : command,
  );
  return result.code === 0 ? result.stdout : `failed: ${result.stderr}`;
}

async function served(url: string, from: 'host' | 'peer' = 'host'): Promise<void> {
  await eventually(`${url} answers`, async () => (await get(url, from)) === PAGE, 6000).catch(async () => {
    assert.equal(await get(url, from), PAGE, `${url} from ${from}`);
  });
}

test('-p HOST:CONTAINER from everywhere', async () => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18080:80', ...HTTPD);
  for (const host of ['127.0.0.1', '[::1]', 'localhost', HOST_ADDRESS, '[2001:db8::1]'])
    await served(`http://${host}:18080/`);
  await served(`http://${HOST_ADDRESS}:18080/`, 'peer');
  assert.equal(
    await daemon.inspect('web', '{{json (index .NetworkSettings.Ports "80/tcp")}}'),
    '[{"HostIp":"0.0.0.0","HostPort":"18080"},{"HostIp":"::","HostPort":"18080"}]',
  );
});

test("from another container, by the bridge's address and by the container's own", async () => {
  const gateway = await daemon.inspect('web', '{{.NetworkSettings.Gateway}}');
  const address = await daemon.inspect('web', '{{.NetworkSettings.IPAddress}}');
  assert.equal(
    await daemon.ok('run', '--rm', 'busybox', 'wget', '-q', '-O', '-', `http://${address}/`),
    PAGE.trim(),
  );
  assert.equal(
    await daemon.ok('run', '--rm', 'busybox', 'wget', '-q', '-O', '-', `http://${gateway}:18080/`),
    PAGE.trim(),
  );
  assert.equal(
    await daemon.ok('exec', 'web', 'wget', '-q', '-O', '-', `http://${gateway}:18080/`),
    PAGE.trim(),
    'itself, over the host',
  );
});

test("a container reaches other hosts with the host's address", async () => {
  const listening = new LiveCommand([
    'ip',
    'netns',
    'exec',
    'testpeer',
    process.execPath,
    '-e',
    `
    require('net').createServer((s) => { console.log(s.remoteAddress); s.end(); process.exit(0); })
      .listen(7777, () => console.log('listens'))`,
  ]);
  await listening.sees(/listens/);
  await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', `nc -w 30 ${PEER_ADDRESS} 7777 < /dev/null; true`);
  assert.match((await listening.ended).stdout, new RegExp(`^listens\n(::ffff:)?${HOST_ADDRESS}\n$`));
});

test('a port that is taken is refused, by a container and by the host', async () => {
  await daemon.fails(
    125,
    /(port is already allocated|address already in use)/,
    'run',
    '-d',
    '--name',
    'second',
    '-p',
    '18080:80',
    ...HTTPD,
  );
  await daemon.ok('rm', '-f', 'second');
  await daemon.ok('rm', '-f', 'web');
  const { createServer } = await import('node:net');
  const server = createServer().listen(18081, '0.0.0.0');
  await new Promise((resolve) => server.once('listening', resolve));
  await daemon.fails(
    125,
    /(port is already allocated|address already in use)/,
    'run',
    '-d',
    '--name',
    'third',
    '-p',
    '18081:80',
    ...HTTPD,
  );
  // Its init was being made meanwhile: nothing of it is left, and nothing is in the way of the next start.
  assert.equal(await daemon.inspect('third', '{{.State.Status}} {{.State.Pid}}'), 'created 0');
  assert.doesNotMatch(await daemon.ok('ps', '--format', '{{.Names}}'), /third/);
  await new Promise((resolve) => server.close(resolve));
  await daemon.ok('start', 'third');
  assert.match(await daemon.ok('exec', 'third', 'wget', '-qO-', 'http://127.0.0.1/'), /served by mydock/);
  await daemon.ok('rm', '-f', 'third');
});

test('a host address limits who reaches it', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'local',
    '-p',
    '127.0.0.1:18082:80',
    '-p',
    `${HOST_ADDRESS}:18083:80`,
    ...HTTPD,
  );
  await served('http://127.0.0.1:18082/');
  assert.match(await get(`http://${HOST_ADDRESS}:18082/`), /^failed/);
  assert.match(await get(`http://${HOST_ADDRESS}:18082/`, 'peer'), /^failed/);
  await served(`http://${HOST_ADDRESS}:18083/`, 'peer');
  assert.match(await get('http://127.0.0.1:18083/'), /^failed/);
  await daemon.ok('rm', '-f', 'local');
});

test('ephemeral ports, -P, and `port`', async () => {
  await daemon.ok('run', '-d', '--name', 'any', '-p', '80', ...HTTPD);
  const port = await daemon.inspect('any', '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}');
  assert.ok(Number(port) >= 32768, port);
  await served(`http://127.0.0.1:${port}/`);
  await daemon.ok('run', '-d', '--name', 'exposed', '--expose', '80', '-P', ...HTTPD);
  const second = await daemon.inspect(
    'exposed',
    '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
  );
  assert.notEqual(second, port);
  await served(`http://127.0.0.1:${second}/`);
  await daemon.ok('rm', '-f', 'any', 'exposed');
});

test('ranges', async () => {
  await daemon.ok(
    'run',
    '-d',
    '--name',
    'range',
    '-p',
    '18090-18092:80-82',
    'busybox',
    'sh',
    '-c',
    'for p in 80 81 82; do httpd -p $p -h /var/www; done; exec sleep 1000',
  );
  for (const port of [18090, 18091, 18092]) await served(`http://127.0.0.1:${port}/`);
  await daemon.fails(125, /[Ii]nvalid ranges/, 'run', '-d', '-p', '100-105:80-82', ...HTTPD);
  await daemon.ok('rm', '-f', 'range');
});

test('UDP', async () => {
  await daemon.ok('run', '-d', '--name', 'echo', '-p', '18053:53/udp', 'busybox', 'udp-echo', '53');
  const script = `const s = require('dgram').createSocket('udp4'); s.on('message', (m, r) => { process.stdout.write(m + ' ' + r.address); s.close(); });
    const send = () => s.send('hello', 18053, process.argv[1]); send(); const t = setInterval(send, 300); s.on('close', () => clearInterval(t)); setTimeout(() => process.exit(1), 5000).unref()`;
  const ask = [process.execPath, '-e', script];
  for (const host of ['127.0.0.1', HOST_ADDRESS])
    assert.equal((await run([...ask, host])).stdout, `hello ${host}`);
  assert.equal(
    (await run(['ip', 'netns', 'exec', 'testpeer', ...ask, HOST_ADDRESS])).stdout,
    `hello ${HOST_ADDRESS}`,
  );
  await daemon.ok('rm', '-f', 'echo');
});

test('a port is free again after its container stops, and comes back with it', async () => {
  await daemon.ok('run', '-d', '--name', 'returning', '-p', '18095:80', ...HTTPD);
  await served('http://127.0.0.1:18095/');
  await daemon.ok('stop', '-t', '0', 'returning');
  assert.match(await get('http://127.0.0.1:18095/'), /ECONNREFUSED/);
  await daemon.ok('start', 'returning');
  await served('http://127.0.0.1:18095/');
  await served('http://[::1]:18095/');
  await daemon.ok('rm', '-f', 'returning');
});

test('many at once keep their addresses and ports apart', async () => {
  const numbers = Array.from({ length: 8 }, (_, i) => 18100 + i);
  await Promise.all(
    numbers.map((port) => daemon.ok('run', '-d', '--name', `many-${port}`, '-p', `${port}:80`, ...HTTPD)),
  );
  const addresses = await Promise.all(
    numbers.map((port) => daemon.inspect(`many-${port}`, '{{.NetworkSettings.IPAddress}}')),
  );
  assert.equal(new Set(addresses).size, numbers.length);
  await Promise.all(numbers.map((port) => served(`http://127.0.0.1:${port}/`)));
  await daemon.ok('rm', '-f', ...numbers.map((port) => `many-${port}`));
});
