/** What bad input gets: a 400 that says why, and nothing changed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { exchange } from '../../conformance/exchange.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

const count = async (): Promise<number> =>
  (await daemon.api('GET', '/containers/json?all=1')).json<unknown[]>().length;

async function refused(body: unknown, query = ''): Promise<void> {
  const answer = await daemon.api('POST', `/containers/create${query}`, body);
  const title = JSON.stringify(body);
  assert.equal(answer.status, 400, `${title}: ${answer.status} ${answer.text}`);
  assert.ok(answer.json<{ message: string }>().message.length > 10, title);
}

test('unknown fields are ignored, in any place', async () => {
  const body = {
    Image: 'busybox',
    Surprise: { deep: [1] },
    HostConfig: { Surprise: true, RestartPolicy: { Name: 'no', Surprise: 1 } },
    NetworkingConfig: { Surprise: {} },
  };
  const answer = await daemon.api('POST', '/containers/create?surprise=1', body);
  assert.equal(answer.status, 201, answer.text);
  await daemon.ok('rm', answer.json<{ Id: string }>().Id);
});

test('wrong types', async () => {
  const wrong: Record<string, unknown>[] = [
    { Image: 1 },
    { Env: 'A=1' },
    { Env: [1] },
    { Cmd: { a: 1 } },
    { Labels: ['a'] },
    { Labels: { a: 1 } },
    { Tty: 'yes' },
    { ExposedPorts: ['80/tcp'] },
    { StopTimeout: '3' },
    { StopTimeout: 1.5 },
    { HostConfig: [] },
    { HostConfig: { Memory: '64m' } },
    { HostConfig: { Memory: 1.5 } },
    { HostConfig: { Binds: '/a:/b' } },
    { HostConfig: { PortBindings: { '80/tcp': { HostPort: '1' } } } },
    { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 80 }] } } },
    { HostConfig: { RestartPolicy: 'always' } },
    { HostConfig: { Ulimits: [{ Name: 'nofile', Soft: 'x', Hard: 1 }] } },
    { HostConfig: { Mounts: [{ Type: 'bind', Source: 1, Target: '/x' }] } },
    { HostConfig: { Sysctls: { a: 1 } } },
    { Healthcheck: { Test: 'true' } },
    { NetworkingConfig: { EndpointsConfig: [] } },
  ];
  const before = await count();
  for (const body of wrong) await refused({ Image: 'busybox', ...body });
  assert.equal(await count(), before);
});

test('wrong ranges and combinations', async () => {
  const host = (config: object): object => ({ Image: 'busybox', HostConfig: config });
  const wrong: object[] = [
    { Image: '' },
    { Image: 'UPPER' },
    { Image: 'busybox', WorkingDir: 'relative' },
    { Image: 'busybox', StopSignal: 'SIGNONE' },
    { Image: 'busybox', Healthcheck: { Test: ['CMD', 'true'], Interval: 1 } },
    { Image: 'busybox', Healthcheck: { Test: ['CMD', 'true'], Retries: -1 } },
    host({ Memory: 1024 }),
    host({ Memory: 67_108_864, MemorySwap: 33_554_432 }),
    host({ MemorySwap: 67_108_864 }),
    host({ NanoCpus: 1_000_000_000_000 }),
    host({ NanoCpus: 1_000_000_000, CpuQuota: 50_000 }),
    host({ CpuPeriod: 10 }),
    host({ OomScoreAdj: 2000 }),
    host({ MemorySwappiness: 200 }),
    host({ RestartPolicy: { Name: 'always', MaximumRetryCount: 3 } }),
    host({ RestartPolicy: { Name: 'always' }, AutoRemove: true }),
    host({ RestartPolicy: { Name: 'on-failure', MaximumRetryCount: -1 } }),
    host({ NetworkMode: 'container:' }),
    host({ PortBindings: { '80/none': [{}] } }),
    host({ PortBindings: { '80/tcp': [{ HostPort: '70000' }] } }),
    host({ PortBindings: { '80/tcp': [{ HostIp: '300.1.1.1' }] } }),
    host({ Binds: ['relative/path:/x'] }),
    host({ Binds: ['/etc:relative'] }),
    host({ Binds: ['/etc:/x:nonsense'] }),
    host({ Binds: ['/etc:/x', '/tmp:/x'] }),
    host({ Mounts: [{ Type: 'bind', Source: '/no/such/path', Target: '/x' }] }),
    host({ Mounts: [{ Type: 'sometype', Target: '/x' }] }),
    host({ CapAdd: ['CAP_NONE'] }),
    host({ ExtraHosts: ['nameonly'] }),
    host({ Dns: ['not-an-address'] }),
    host({ LogConfig: { Type: 'nonsense', Config: {} } }),
    host({ LogConfig: { Type: 'json-file', Config: { 'max-size': 'huge' } } }),
    host({ LogConfig: { Type: 'json-file', Config: { nonsense: '1' } } }),
    host({ SecurityOpt: ['nonsense'] }),
    host({ IpcMode: 'nonsense' }),
    host({ PidMode: 'nonsense' }),
    host({ ShmSize: -1 }),
    host({ Sysctls: { 'kernel.nonsense': '1' } }),
    host({ Ulimits: [{ Name: 'nofile', Soft: 200, Hard: 100 }] }),
    host({ Ulimits: [{ Name: 'nonsense', Soft: 1, Hard: 1 }] }),
  ];
  const before = await count();
  const accepted: string[] = [];
  for (const body of wrong) {
    await refused(body).catch((error: Error) => accepted.push(error.message));
  }
  assert.deepEqual(accepted, []);
  assert.equal(await count(), before);
});

test('a body that is no JSON object', async () => {
  const before = await count();
  for (const text of [
    '{',
    '',
    '[]',
    '"x"',
    '1',
    '{"Image":"busybox"} trailing',
    '{"Image":"busybox"',
    '\0',
  ]) {
    const answer = await exchange(daemon.socket, {
      method: 'POST',
      path: '/containers/create',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(text),
    });
    assert.equal(answer.status, 400, JSON.stringify(text));
  }
  const form = await exchange(daemon.socket, {
    method: 'POST',
    path: '/containers/create',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from('{"Image":"busybox"}'),
  });
  assert.equal(form.status, 400);
  assert.equal(await count(), before);
});

test('a body that is cut changes nothing', async () => {
  const before = await count();
  for (const framing of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
    const socket = connect(daemon.socket);
    const body = framing.startsWith('Content') ? '{"Image":"busybox"}' : '13\r\n{"Image":"busybox"}\r\n';
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(
      `POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${framing}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(await count(), before);
});

test('a body that is too large is refused without being kept', async () => {
  const before = await count();
  const labels = { x: 'y'.repeat(16 * 1024 * 1024) };
  const answer = await daemon
    .api('POST', '/containers/create', { Image: 'busybox', Labels: labels })
    // The daemon may answer and close before it has read all of it.
    .catch(() => undefined);
  assert.ok(answer === undefined || answer.status === 400 || answer.status === 413, answer?.text);
  assert.equal(await count(), before);
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
});

test('what is no HTTP is refused, and the next client is served', async () => {
  for (const text of [
    '\x16\x03\x01\x02\x00\x01\x00',
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'x'.repeat(300_000),
  ]) {
    const socket = connect(daemon.socket);
    socket.on('error', () => {});
    socket.resume();
    socket.end(text);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  assert.equal((await daemon.api('GET', '/_ping')).status, 200);
});

test('wrong paths', async () => {
  for (const [method, path, status] of [
    ['GET', '/nonsense', 404],
    ['GET', '/v1.51/nonsense', 404],
    ['GET', '/v1.51/containers/%zz/json', 400],
    ['GET', '/v1.51/containers/a%00b/json', 404],
    ['GET', '/v1.51/containers/..%2f..%2fetc/json', 404],
    ['GET', '/v1.51/images/..%2f..%2fetc/json', 404],
    ['POST', '/v1.51/containers/json', 404],
    ['DELETE', '/v1.51/containers/', 404],
  ] as const) {
    const answer = await daemon.api(method, path);
    // Docker's router answers some of them with 405, which clients treat alike.
    const allowed = status === 404 ? [400, 404, 405] : [status];
    assert.ok(allowed.includes(answer.status), `${method} ${path}: ${answer.status} ${answer.text}`);
  }
});
