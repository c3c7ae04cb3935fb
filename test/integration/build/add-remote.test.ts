/** ADD of addresses: asked for again each time, sent again only when changed; and COPY --link over several bases. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';
import { type Built, classicBuild, type Files } from './classic-build.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let server: Server;
let url: string;
/** What the server has. */
const files = new Map<string, Buffer>();
/** Requests by path: how many were answered with content, how many with 304. */
const sent = new Map<string, { whole: number; same: number }>();

const etagOf = (content: Buffer): string => `"${createHash('sha256').update(content).digest('hex')}"`;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  server = createServer((request, response) => {
    const path = request.url ?? '';
    const content = files.get(path);
    const count = sent.get(path) ?? { whole: 0, same: 0 };
    sent.set(path, count);
    if (content === undefined) {
      response.writeHead(404).end();
      return;
    }
    const etag = etagOf(content);
    if (request.headers['if-none-match'] === etag) {
      count.same++;
      response.writeHead(304, { etag }).end();
      return;
    }
    if (request.method !== 'HEAD') count.whole++;
    response.writeHead(200, { etag, 'content-length': content.length });
    response.end(request.method === 'HEAD' ? undefined : content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  url = `http://127.0.0.1:${address.port}`;
});
after(async () => {
  await close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const build = (content: Files, query = ''): Promise<Built> => classicBuild(daemon, content, query);
const cat = async (image: string, path: string): Promise<string> =>
  await daemon.ok('run', '--rm', '--network', 'none', image, 'cat', path);

test('a file that has not changed is not sent again; one that has makes another layer', async () => {
  files.set('/file.txt', Buffer.from('first\n'));
  const dockerfile = { Dockerfile: `FROM busybox\nADD ${url}/file.txt /got/\nRUN true\n` };
  const first = await build(dockerfile, 't=remote');
  assert.equal(first.error, '', first.output);
  assert.equal(await cat('remote', '/got/file.txt'), 'first');
  assert.equal(
    await daemon.ok('run', '--rm', '--network', 'none', 'remote', 'stat', '-c', '%a', '/got/file.txt'),
    '600',
  );
  const again = await build(dockerfile);
  assert.equal(again.id, first.id);
  assert.equal(again.output.match(/Using cache/g)?.length, 2, again.output);
  assert.deepEqual(sent.get('/file.txt'), { whole: 1, same: 1 });
  files.set('/file.txt', Buffer.from('second\n'));
  const changed = await build(dockerfile, 't=remote');
  assert.equal(changed.error, '', changed.output);
  assert.notEqual(changed.id, first.id);
  assert.equal(await cat('remote', '/got/file.txt'), 'second');
  assert.equal(sent.get('/file.txt')?.whole, 2);
});

test('an archive that is downloaded stays one, unless it is to be unpacked', async () => {
  files.set('/archive.tar', makeTar([{ path: 'inside', data: 'unpacked\n' }]));
  const built = await build(
    {
      Dockerfile: `FROM busybox\nADD ${url}/archive.tar /plain\nADD --unpack=true ${url}/archive.tar /unpacked/\nADD local.tar ${url}/archive.tar /both/\n`,
      'local.tar': makeTar([{ path: 'local', data: 'of the context\n' }]).toString(),
    },
    't=archives',
  );
  assert.equal(built.error, '', built.output);
  assert.equal(
    await daemon.ok('run', '--rm', '--network', 'none', 'archives', 'tar', 'tf', '/plain'),
    'inside',
  );
  assert.equal(await cat('archives', '/unpacked/inside'), 'unpacked');
  assert.equal(await daemon.ok('run', '--rm', 'archives', 'ls', '/both'), 'archive.tar\nlocal');
});

test('checksums: what comes must be it, and what is known to be it is not asked for', async () => {
  const content = Buffer.from('checked\n');
  files.set('/checked', content);
  const digest = createHash('sha256').update(content).digest('hex');
  const good = await build({
    Dockerfile: `FROM scratch\nADD --checksum=sha256:${digest} ${url}/checked /\n`,
  });
  assert.equal(good.error, '', good.output);
  const bad = await build({
    Dockerfile: `FROM scratch\nADD --checksum=sha256:${'0'.repeat(64)} ${url}/checked /\n`,
  });
  assert.match(bad.error, new RegExp(`digest mismatch.*${digest}|${digest}.*0{64}`, 's'));
  const missing = await build({ Dockerfile: `FROM scratch\nADD ${url}/missing /\n` });
  assert.match(missing.error, /404/);
});

test('contexts from addresses: a tar with its Dockerfile where the query says, a Dockerfile alone', async () => {
  files.set(
    '/context.tar',
    makeTar([
      { path: 'sub/', type: 'directory' },
      { path: 'sub/Other', data: 'FROM busybox\nCOPY a.txt /a\n' },
      { path: 'a.txt', data: 'of the tar\n' },
    ]),
  );
  const tar = await build(
    {},
    `remote=${encodeURIComponent(`${url}/context.tar`)}&dockerfile=sub/Other&t=of-tar`,
  );
  assert.equal(tar.error, '', tar.output);
  assert.equal(await cat('of-tar', '/a'), 'of the tar');
  files.set('/Dockerfile', Buffer.from('FROM busybox\nRUN echo alone > /alone\n'));
  const alone = await build({}, `remote=${encodeURIComponent(`${url}/Dockerfile`)}&t=alone`);
  assert.equal(alone.error, '', alone.output);
  assert.equal(await cat('alone', '/alone'), 'alone');
});

test('COPY --link is one layer over all bases', async () => {
  const content = { 'a.txt': 'linked\n' };
  const first = await build(
    { ...content, Dockerfile: 'FROM busybox\nRUN echo one > /one\nCOPY --link a.txt /l/\n' },
    't=one',
  );
  assert.equal(first.error, '', first.output);
  const second = await build(
    { ...content, Dockerfile: 'FROM busybox\nRUN echo two > /two\nCOPY --link a.txt /l/\n' },
    't=two',
  );
  assert.equal(second.output.match(/Using cache/g)?.length, 1, second.output);
  const layers = async (image: string): Promise<string[]> =>
    (await daemon.api('GET', `/images/${image}/json`)).json<{ RootFS: { Layers: string[] } }>().RootFS.Layers;
  assert.equal((await layers('one')).at(-1), (await layers('two')).at(-1));
  assert.equal(await cat('two', '/l/a.txt'), 'linked');
});
