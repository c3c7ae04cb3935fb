/**
 * Ways around a registry: mirrors of any registry, the local copy while it is out of order, and proxies. The names
 * of Docker Hub lead nowhere here.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import type { Image } from '../../fixtures/image.ts';
import { type ForwardProxy, startProxy } from '../../fixtures/proxy.ts';
import { eventually } from '../command.ts';
import { Daemon } from '../harness.ts';

const PLAIN = 'plain.test:5000';
const SECURE = 'secure.test:5001';

let daemon: Daemon;
let registry: Gateway;
let first: Gateway;
let second: Gateway;
let hub: Gateway;
let proxy: ForwardProxy;
let tls: ReturnType<typeof createServer>;
const labelled = (from: string): Promise<Image> => busyboxImage({ config: { Labels: { from } } });

before(async () => {
  [registry, first, second, hub] = await Promise.all([
    startGateway(),
    startGateway(),
    startGateway(),
    startGateway(),
  ]);
  tls = await startTls();
  proxy = await startProxy(
    new Map([
      [PLAIN, portOf(registry)],
      [SECURE, (tls.address() as AddressInfo).port],
    ]),
  );
  daemon = await Daemon.start([
    ...['--registry-mirror', `http://${hub.host}`],
    ...['--registry-mirror', `${registry.host}=http://${first.host}`],
    ...['--registry-mirror', `${registry.host}=http://${second.host}`],
    ...['--http-proxy', proxy.url, '--https-proxy', proxy.url],
    ...['--insecure-registry', PLAIN, '--insecure-registry', SECURE],
  ]);
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    tls.closeAllConnections();
    await Promise.all([registry, first, second, hub, proxy].map((server) => server.stop()));
    await new Promise((resolve) => tls.close(resolve));
  }
});

const portOf = (gateway: Gateway): number => Number(gateway.host.split(':')[1]);
const from = async (reference: string): Promise<string> =>
  await daemon.inspect(reference, '{{index .Config.Labels "from"}}');

/** The registry over TLS with a certificate that nobody knows. */
async function startTls(): Promise<ReturnType<typeof createServer>> {
  const folder = process.env['TMPDIR'] ?? '/tmp';
  const [key, certificate] = [join(folder, 'mirror-key.pem'), join(folder, 'mirror-certificate.pem')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-subj', '/CN=secure.test', '-days', '2', '-keyout', key, '-out', certificate];
  execFileSync('openssl', [...args, ...files], { stdio: 'pipe' });
  const server = createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (request, response) => {
      const { method = 'GET', url = '/' } = request;
      void fetch(`http://${registry.host}${url}`, { method }).then(async (answer) => {
        const { 'content-encoding': _, ...headers } = Object.fromEntries(answer.headers);
        response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

test('a registry’s mirrors are asked in order, before the registry', async () => {
  const reference = registry.add('app', 'both', await labelled('registry'));
  second.add('app', 'both', await labelled('second'));
  await daemon.ok('pull', '-q', reference);
  assert.equal(await from(reference), 'second');
  assert.ok(first.requests.length > 0, 'the first mirror was asked, and had nothing');
  assert.deepEqual(registry.requests, []);
  const own = registry.add('app', 'own', await labelled('registry'));
  await daemon.ok('pull', '-q', own);
  assert.equal(await from(own), 'registry');
  await daemon.ok('rmi', reference, own);
});

test('Docker Hub’s mirror serves the names of Docker Hub', async () => {
  hub.add('library/mirrored', 'latest', await labelled('hub'));
  await daemon.ok('pull', '-q', 'mirrored');
  assert.equal(await from('mirrored'), 'hub');
  await daemon.ok('rmi', 'mirrored');
});

test('a mirror’s layers are checked: what it changes comes from the registry', async () => {
  const image = await labelled('true');
  const reference = registry.add('checked', 'latest', image);
  first.add('checked', 'latest', image);
  const layer = image.blobs.at(-1);
  assert.ok(layer !== undefined);
  first.rules.replace = new Map([[layer.digest, { ...layer, data: Buffer.alloc(layer.data.length) }]]);
  await daemon.ok('pull', '-q', reference);
  assert.ok(registry.requests.some(({ path }) => path.endsWith(layer.digest)));
  delete first.rules.replace;
  await daemon.ok('rmi', reference);
});

test('credentials of a mirror reach the mirror alone', async () => {
  const reference = registry.add('secret', 'latest', await labelled('registry'));
  first.add('secret', 'latest', await labelled('mirror'));
  first.rules.token = { user: 'bob', password: 'mirror-password' };
  const pair = (text: string): string => Buffer.from(text).toString('base64');
  const auths = {
    [registry.host]: { auth: pair('alice:registry-password') },
    [first.host]: { auth: pair('bob:mirror-password') },
  };
  mkdirSync(join(daemon.home, '.docker'));
  writeFileSync(join(daemon.home, '.docker', 'config.json'), JSON.stringify({ auths }));
  try {
    await daemon.ok('pull', '-q', reference);
    assert.equal(await from(reference), 'mirror');
    const sent = first.requests.map(({ authorization = '' }) => authorization).join('\n');
    assert.ok(sent.includes(pair('bob:mirror-password')));
    assert.equal(sent.includes(pair('alice:registry-password')), false);
  } finally {
    rmSync(join(daemon.home, '.docker'), { recursive: true });
    delete first.rules.token;
  }
  await daemon.ok('rmi', reference);
});

test('info shows mirrors, and proxies without their passwords', async () => {
  const info = (await daemon.api('GET', '/info')).json<{
    HttpProxy: string;
    HttpsProxy: string;
    RegistryConfig: { Mirrors: string[]; IndexConfigs: Record<string, { Mirrors: string[] }> };
  }>();
  assert.deepEqual(info.RegistryConfig.Mirrors, [`http://${hub.host}/`]);
  assert.deepEqual(info.RegistryConfig.IndexConfigs[registry.host]?.Mirrors, [
    `http://${first.host}/`,
    `http://${second.host}/`,
  ]);
  const masked = `http://xxxxx:xxxxx@127.0.0.1:${proxy.port}`;
  assert.deepEqual([info.HttpProxy, info.HttpsProxy], [masked, masked]);
  const text = await daemon.ok('info');
  assert.ok(text.includes(`Registry Mirrors:\n  http://${hub.host}/\n`));
  assert.ok(text.includes(`\n  ${registry.host}=http://${first.host}/\n`));
  assert.equal(text.includes('proxy-password'), false);
});

test('pulls through a proxy: whole requests for HTTP, a tunnel for HTTPS', async () => {
  registry.add('proxied', 'latest', await labelled('proxied'));
  for (const [host, seen] of [
    [PLAIN, `GET http://${PLAIN}/v2/proxied/manifests/latest`],
    [SECURE, `CONNECT ${SECURE}`],
  ]) {
    proxy.requests.length = 0;
    await daemon.ok('pull', '-q', `${host}/proxied`);
    assert.equal(await from(`${host}/proxied`), 'proxied');
    assert.ok(proxy.requests.includes(seen ?? ''), proxy.requests.join('\n'));
    await daemon.ok('rmi', `${host}/proxied`);
  }
  proxy.requests.length = 0;
  const direct = registry.add('direct', 'latest', await labelled('direct'));
  await daemon.ok('pull', '-q', direct);
  assert.deepEqual(proxy.requests, [], 'loopback is never asked for by a proxy');
  await daemon.ok('rmi', direct);
});

test('a registry that is gone: the local copy where it is allowed, and only there', async () => {
  const gone = await startGateway();
  const reference = gone.add('app', 'latest', await labelled('old'));
  await daemon.ok('pull', '-q', reference);
  const id = await daemon.inspect(reference, '{{.Id}}');
  await gone.stop();
  const refused = await daemon.mydock(['pull', reference]);
  assert.equal(refused.code, 1);
  assert.ok(refused.stderr.includes(`a local copy ${id} of `), refused.stderr);
  assert.match(refused.stderr, /connection refused.*--stale \(or the daemon's --pull-stale\) allows it/);
  const said = new RegExp(
    `Registry ${gone.host} cannot be reached \\(.*\\); using the local copy ${id} of \\d`,
  );
  assert.match(await daemon.ok('pull', '--stale', reference), said);
  const quiet = await daemon.mydock(['pull', '-q', '--stale', reference]);
  assert.deepEqual([quiet.code, quiet.stdout], [0, `${reference}\n`]);
  assert.match(quiet.stderr, said, 'quiet, but not about this');
  await eventually('the log says so', () => said.test(daemon.log));
  await daemon.fails(1, /connection refused/, 'pull', '--stale', `${gone.host}/other`);
  await daemon.ok('rmi', reference);
});

test('a registry that says that an image is gone is believed', async () => {
  const reference = registry.add('vanishing', 'latest', await labelled('old'));
  await daemon.ok('pull', '-q', reference);
  const missing = reference.replace('vanishing', 'never-there');
  await daemon.ok('tag', reference, missing);
  await daemon.fails(1, /manifest unknown/, 'pull', '--stale', missing);
  await daemon.ok('rmi', reference, missing);
});

test('mirrors and proxies that cannot be used keep the daemon from starting', async () => {
  for (const [args, message] of [
    [['--registry-mirror', 'ghcr.io=m.example'], /invalid mirror/],
    [['--https-proxy', 'socks5://joe:hidden@p'], /only http:\/\/ and https:\/\/ proxies are supported/],
  ] as const) {
    await assert.rejects(Daemon.start(args), (error: Error) => {
      assert.match(error.message, message);
      assert.equal(error.message.includes('hidden'), false);
      return true;
    });
  }
});
