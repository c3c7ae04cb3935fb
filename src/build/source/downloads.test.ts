/** Downloads from a server on the loopback: names, digests, asking again, and what hostile servers do. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tarOf } from '../../image/layers/suite/fixture.ts';
import { fileNameOf } from './download-name.ts';
import { FakeSession, io, SourcesFixture } from './testing/sources-fixture.ts';

const fixture = new SourcesFixture();
const impatient = new SourcesFixture('erofs', { registry: { env: {}, stallTimeoutMs: 300 } });
const LAST_MODIFIED = 'Thu, 04 Mar 2021 05:06:07 GMT';
let content = 'first';
let seen: IncomingMessage[] = [];

const archive = gzipSync(tarOf({ name: 'Dockerfile', type: 'file', content: 'FROM scratch\n' }));

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const answers: Record<string, Answer> = {
  '/plain': (_, response) => response.end(content),
  '/etag': (request, response) => {
    const etag = `"${createHash('md5').update(content).digest('hex')}"`;
    response.setHeader('ETag', etag);
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.end(content);
  },
  '/dated': (request, response) => {
    response.setHeader('Last-Modified', LAST_MODIFIED);
    if (request.headers['if-modified-since'] === LAST_MODIFIED) response.writeHead(304).end();
    else response.end(content);
  },
  '/named': (_, response) => {
    response.setHeader('Content-Disposition', 'attachment; filename="../../etc/real name.txt"');
    response.end(content);
  },
  '/moved': (_, response) => response.writeHead(302, { Location: '/plain' }).end(),
  '/loop': (_, response) => response.writeHead(302, { Location: '/loop' }).end(),
  '/file': (_, response) => response.writeHead(302, { Location: 'file:///etc/passwd' }).end(),
  '/cut': (_, response) => {
    response.writeHead(200, { 'Content-Length': '1000' });
    response.write('some');
    setTimeout(() => response.destroy(), 20);
  },
  '/once': (request, response) => {
    response.writeHead(200, { ETag: '"once"', 'Content-Length': '5' });
    if (request.headers['if-none-match'] === undefined) response.end('whole');
    else {
      response.write('so');
      setTimeout(() => response.destroy(), 20);
    }
  },
  '/stall': (_, response) => {
    response.writeHead(200, { 'Content-Length': '1000' });
    response.write('some');
  },
  '/broken': (_, response) => response.writeHead(500).end('no'),
  '/private': (request, response) => {
    if (request.headers.authorization === 'Bearer t0ken') response.end('private');
    else response.writeHead(401).end();
  },
  '/context.tgz': (_, response) => response.end(archive),
  '/Dockerfile': (_, response) => response.end('FROM scratch\nENV A=b\n'),
};

const server = createServer((request, response) => {
  seen.push(request);
  const answer = answers[new URL(request.url ?? '/', 'http://localhost').pathname];
  if (answer === undefined) response.writeHead(404).end();
  else answer(request, response);
});
let base = '';
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await Promise.all([fixture.close(), impatient.close()]);
});

const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const fetch = (path: string, options = {}, given = {}) =>
  fixture.sources.fetchFile(base + path, options, io(given));

test('a file, its name, mode, time and digest', async () => {
  const { tree, name, digest, material, epochSeconds } = await fetch('/dated');
  const path = join(tree.path, name);
  assert.deepEqual(
    [name, digest, epochSeconds],
    ['dated', digestOf('first'), Date.parse(LAST_MODIFIED) / 1000],
  );
  assert.deepEqual(material, { kind: 'http', name: `${base}/dated`, pin: digestOf('first') });
  const { mode, mtimeMs } = statSync(path);
  assert.deepEqual(
    [mode & 0o7777, mtimeMs, readFileSync(path, 'utf8')],
    [0o600, Date.parse(LAST_MODIFIED), 'first'],
  );
  assert.deepEqual(readdirSync(tree.path), ['dated']);
  await tree.release();
  const plain = await fetch('/plain?x=1');
  assert.equal(statSync(join(plain.tree.path, 'plain')).mtimeMs, 0);
  await plain.tree.release();
  assert.deepEqual(fixture.trees(), []);
});

test('what has not changed is asked about and not sent again; what has is', async () => {
  content = 'old';
  for (const path of ['/etag', '/dated?2']) {
    const first = await fetch(path);
    const second = await fetch(path);
    assert.deepEqual([first.digest, second.digest], [digestOf('old'), digestOf('old')]);
    await Promise.all([first.tree.release(), second.tree.release()]);
  }
  content = 'new';
  const held = await fetch('/etag');
  assert.equal(held.digest, digestOf('new'));
  content = 'newer';
  const next = await fetch('/etag');
  assert.equal(next.digest, digestOf('newer'));
  assert.equal(readFileSync(join(held.tree.path, held.name), 'utf8'), 'new');
  await Promise.all([held.tree.release(), next.tree.release()]);
  const daemon = fixture.open();
  seen = [];
  const after = await daemon.fetchFile(`${base}/etag`, {}, io());
  assert.ok(seen[0]?.headers['if-none-match']);
  await after.tree.release();
});

test('a checksum is held to, and with it nobody is asked about what is here', async () => {
  content = 'pinned';
  const checksum = digestOf(content);
  await (await fetch('/plain?pin', { checksum })).tree.release();
  seen = [];
  await (await fetch('/plain?pin', { checksum })).tree.release();
  assert.equal(seen.length, 0);
  await assert.rejects(fetch('/plain?pin', { checksum: digestOf('other') }), {
    kind: 'InvalidParameter',
    message: `digest mismatch for ${base}/plain: ${checksum} (expected: ${digestOf('other')})`,
  });
  await assert.rejects(fetch('/plain', { checksum: 'md5:1' }), /invalid checksum "md5:1"/);
  await (await fetch('/plain?pin', { checksum }, { cacheNamespace: 'other' })).tree.release();
  assert.equal(seen.filter(({ url }) => url === '/plain?pin').length, 2, 'another namespace asks for itself');
});

test('a user or password that is not percent-encoded is refused, and not shown', async () => {
  for (const user of ['%zz', 'name:%e0%a4', '%']) {
    await assert.rejects(fixture.sources.fetchFile(`${base.replace('://', `://${user}@`)}/plain`, {}, io()), {
      kind: 'InvalidParameter',
      message: `cannot fetch ${base}/plain: its user or password is not percent-encoded`,
    });
  }
});

test('redirects are followed, not for ever, and not to files of this machine', async () => {
  await (await fetch('/moved')).tree.release();
  await assert.rejects(fetch('/loop'), { kind: 'Unavailable', message: /stopped after 10 redirects/ });
  await assert.rejects(fetch('/file'), { kind: 'Unavailable', message: /redirect to a file: URL/ });
  await assert.rejects(fixture.sources.fetchFile('file:///etc/passwd', {}, io()), {
    kind: 'InvalidParameter',
    message: /expected an http or https URL/,
  });
});

test('servers that fail, cut off and fall silent are reported, and leave nothing', async () => {
  const kept = (await fixture.sources.downloads.entries()).length;
  await assert.rejects(fetch('/missing'), { kind: 'NotFound', message: /invalid response status 404/ });
  await assert.rejects(fetch('/broken'), { kind: 'Unavailable', message: /invalid response status 500/ });
  await assert.rejects(fetch('/cut'), { kind: 'Unavailable' });
  const stalled = impatient.sources.fetchFile(`${base}/stall`, {}, io());
  await assert.rejects(stalled, { kind: 'Unavailable', message: /no data for/ });
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error('client is gone')), 50);
  await assert.rejects(fetch('/stall', {}, { signal: abort.signal }), /client is gone/);
  assert.equal((await fixture.sources.downloads.entries()).length, kept);
  assert.deepEqual(await impatient.sources.downloads.entries(), []);
  assert.deepEqual([fixture.trees(), impatient.trees()], [[], []]);
});

test('what could not be fetched again, or be shown, leaves no part and no folder', async () => {
  const first = await fetch('/once');
  await first.tree.release();
  await assert.rejects(fetch('/once'), { kind: 'Unavailable' });
  await assert.rejects(fetch('/plain', { name: 'no/folder' }), { code: 'ENOENT' });
  const names = readdirSync(fixture.build, { recursive: true }).map(String);
  assert.deepEqual(
    names.filter((name) => name.endsWith('.part')),
    [],
  );
  assert.deepEqual(fixture.trees(), []);
});

test('secrets by the names of their hosts; what one was needed for is not given to others', async () => {
  await assert.rejects(fetch('/private'), /status 401/);
  const session = new FakeSession();
  session.secrets = { 'HTTP_AUTH_TOKEN_127.0.0.1': 't0ken\n' };
  await (await fetch('/private', {}, { session })).tree.release();
  await assert.rejects(fetch('/private'), /status 401/);
});

test('names', async () => {
  const named = await fetch('/named');
  assert.equal(named.name, 'real name.txt');
  await named.tree.release();
  const cases: [string, string, string][] = [
    ['http://h/a/b.tgz', '', 'b.tgz'],
    ['http://h/a%20b', '', 'a b'],
    ['http://h/a%2f..%2f..%2fetc', '', 'etc'],
    ['http://h/%2e%2e', '', 'download'],
    ['http://h/', '', 'download'],
    ['http://h/x', 'attachment; filename="/"', 'x'],
    ['http://h/x', 'attachment; filename=".."', 'x'],
    ['http://h/x', "attachment; filename=y; filename*=UTF-8''%c3%a9.txt", 'é.txt'],
    ['http://h/x', `attachment; filename="${'n'.repeat(300)}"`, 'x'],
    ['http://h/x', 'inline', 'x'],
  ];
  for (const [address, disposition, expected] of cases) {
    assert.equal(fileNameOf(new URL(address), disposition), expected, `${address} ${disposition}`);
  }
});

test('contexts: an archive, or a Dockerfile alone', async () => {
  const main = fixture.sources.main({ kind: 'http', url: `${base}/context.tgz` }, { path: '' });
  assert.equal((await main.readDockerfile(io())).content, 'FROM scratch\n');
  const { material } = await main.open(io());
  assert.deepEqual(material?.pin, `sha256:${createHash('sha256').update(archive).digest('hex')}`);
  await main.release();
  const alone = fixture.sources.main({ kind: 'http', url: `${base}/Dockerfile` }, { path: 'x' });
  assert.deepEqual(await alone.readDockerfile(io()), {
    name: 'Dockerfile',
    content: 'FROM scratch\nENV A=b\n',
  });
  await alone.release();
  assert.deepEqual([fixture.trees(), fixture.snapshotter.layers()], [[], []]);
});
