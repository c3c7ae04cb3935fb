/** How registries are reached: TLS with custom CAs and client certificates, plain text, mirrors, proxies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type TestImage, testImage, testLayer } from '../testing/image-builder.ts';
import { ImageServer } from '../testing/image-server.ts';
import { PullBench } from '../testing/pull-bench.ts';
import { resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

let directory = '';
let image: TestImage;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mydock-tls-'));
  image = testImage([await testLayer('a')]);
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-subj',
    '/CN=test ca',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
  );
  const san = 'subjectAltName=DNS:localhost,DNS:registry.test,IP:127.0.0.1';
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    writeFileSync(join(directory, 'ext'), san);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-extfile',
      'ext',
    );
  }
});
after(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string): string => readFileSync(join(directory, name), 'utf8');

/** A certificates directory with the CA, and the client pair where wanted, for one host. */
function certificatesFor(host: string, client: boolean): string {
  const root = mkdtempSync(join(directory, 'certs-'));
  mkdirSync(join(root, host));
  writeFileSync(join(root, host, 'ca.crt'), file('ca.crt'));
  if (client) {
    writeFileSync(join(root, host, 'client.cert'), file('client.crt'));
    writeFileSync(join(root, host, 'client.key'), file('client.key'));
  }
  return root;
}

const get = async (
  url: string,
  options: Parameters<typeof resolveRegistryOptions>[0],
  insecure: string[] = [],
): Promise<number> => {
  const transport = new Transport(
    resolveRegistryOptions({ env: {}, certificateDirectories: [], ...options }),
  );
  try {
    const { response } = await transport.send({
      method: 'GET',
      url: new URL(url),
      headers: {},
      insecureHosts: new Set(insecure),
      signal: AbortSignal.timeout(120_000),
    });
    await response.arrayBuffer();
    return response.status;
  } finally {
    transport.reset();
  }
};

test('a private CA in the certificates directory is trusted, for its host only', async () => {
  await using server = await ImageServer.start({ cert: file('server.crt'), key: file('server.key') });
  server.push('app', 'latest', image);
  const url = `https://${server.host}/v2/app/manifests/latest`;
  assert.equal(await get(url, { certificateDirectories: [certificatesFor(server.host, false)] }), 200);
  for (const certificateDirectories of [[], [certificatesFor('other:443', false)]]) {
    await assert.rejects(get(url, { certificateDirectories }), {
      message: `GET "${url}": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
    });
  }
  assert.equal(await get(url, {}, [server.host]), 200);
});

test('a registry that wants a client certificate gets it', async () => {
  const tls = { cert: file('server.crt'), key: file('server.key'), ca: file('ca.crt'), requestCert: true };
  await using server = await ImageServer.start(tls);
  server.push('app', 'latest', image);
  const url = `https://${server.host}/v2/app/manifests/latest`;
  await assert.rejects(get(url, { certificateDirectories: [certificatesFor(server.host, false)] }));
  assert.equal(await get(url, { certificateDirectories: [certificatesFor(server.host, true)] }), 200);
});

test('half a client certificate is told by name', async () => {
  const root = certificatesFor('x:1', true);
  rmSync(join(root, 'x:1', 'client.key'));
  await assert.rejects(get('https://x:1/', { certificateDirectories: [root] }), {
    kind: 'InvalidParameter',
    message: /missing key .*client\.key for client certificate/,
  });
});

test('a loopback registry is pulled from over TLS without a check, or in plain text', async () => {
  await using tls = await ImageServer.start({ cert: file('server.crt'), key: file('server.key') });
  await using plain = await ImageServer.start();
  using bench = new PullBench();
  for (const server of [tls, plain]) {
    server.push('app', 'latest', image);
    await bench.pull(`${server.host}/app`);
  }
  assert.equal(bench.images.list().length, 1);
});

test('a registry over TLS that refuses is not asked in plain text', async () => {
  await using server = await ImageServer.start({ cert: file('server.crt'), key: file('server.key') });
  using bench = new PullBench();
  await assert.rejects(bench.pull(`${server.host}/none`), { kind: 'NotFound', message: /manifest unknown/ });
});

test('a registry that is not there', async () => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  using bench = new PullBench();
  await assert.rejects(bench.pull(`127.0.0.1:${port}/app`), {
    kind: 'Unavailable',
    message: /dial tcp 127\.0\.0\.1:\d+: connect: connection refused/,
  });
});

test('plain text where TLS is due is told as Docker does', async () => {
  await using server = await ImageServer.start();
  await assert.rejects(
    get(`https://${server.host}/v2/`, {}),
    /http: server gave HTTP response to HTTPS client/,
  );
});

test('mirrors serve Docker Hub’s names; a mirror without the image leads to the next one', async () => {
  await using empty = await ImageServer.start();
  await using broken = await ImageServer.start();
  await using mirror = await ImageServer.start();
  broken.intercept = (_request, response) => {
    response.writeHead(500);
    response.end();
    return true;
  };
  mirror.push('library/app', 'latest', image);
  using bench = new PullBench({ mirrors: [empty, broken, mirror].map(({ host }) => `http://${host}`) });
  const { image: pulled, messages } = await bench.pull('app');
  assert.deepEqual(pulled.repoTags, ['app:latest']);
  assert.equal(messages[0]?.status, 'Pulling from library/app');
  assert.equal(broken.requests.length, 1);
});

test('HTTP and HTTPS go through their proxies', async () => {
  await using server = await ImageServer.start({ cert: file('server.crt'), key: file('server.key') });
  server.push('app', 'latest', image);
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end('{}');
  });
  proxy.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    const upstream = connect(server.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = proxy.address() as AddressInfo;
    const env = { http_proxy: `http://127.0.0.1:${port}`, HTTPS_PROXY: `127.0.0.1:${port}` };
    const certificateDirectories = [certificatesFor('registry.test:5000', false)];
    assert.equal(
      await get('https://registry.test:5000/v2/app/manifests/latest', { env, certificateDirectories }),
      200,
    );
    assert.equal(await get('http://registry.test/v2/', { env }), 200);
    assert.deepEqual(seen, ['CONNECT registry.test:5000', 'GET http://registry.test/v2/']);
  } finally {
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
  }
});
