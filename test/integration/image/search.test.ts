/** Searching: a stand-in for the index of Docker Hub, on a registry of its own. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { recentDockerPrograms } from '../engine.ts';
import { Daemon } from '../harness.ts';

const RESULTS = [
  { name: 'nginx', description: 'Official build of Nginx.', star_count: 20000, is_official: true },
  { name: 'user/nginx', description: `long ${'word '.repeat(20)}`, star_count: 30, is_official: false },
  { name: 'evil', description: '\u202etwo\nlines \u001b[31mred', star_count: 3, is_official: false },
];

let daemon: Daemon;
let index: Server;
let host: string;
const asked: string[] = [];
before(async () => {
  index = createServer((request, response) => {
    asked.push(request.url ?? '');
    const url = new URL(request.url ?? '', 'http://index');
    if (url.searchParams.get('q') === 'private') return void response.writeHead(401).end();
    if (url.searchParams.get('q') === 'broken') return void response.writeHead(500).end();
    const results = RESULTS.slice(0, Number(url.searchParams.get('n')));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ num_results: results.length, query: 'nginx', results }));
  });
  await new Promise<void>((resolve) => index.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(index.address() as AddressInfo).port}`;
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    index.closeAllConnections();
    await new Promise((resolve) => index.close(resolve));
  }
});

test('the API: results in order, limit, filters', async () => {
  const search = async (query: string) =>
    (await daemon.api('GET', `/images/search?term=${host}/nginx${query}`)).json<{ name: string }[]>();
  const names = async (query: string) => (await search(query)).map(({ name }) => name);
  assert.deepEqual((await search('&limit=1'))[0], { ...RESULTS[0], is_automated: false });
  assert.deepEqual(asked.at(-1), '/v1/search?q=nginx&n=1');
  const filters = (value: object): string => `&filters=${encodeURIComponent(JSON.stringify(value))}`;
  assert.deepEqual(await names(filters({ stars: ['30'] })), ['nginx', 'user/nginx']);
  assert.deepEqual(await names(filters({ 'is-official': ['true'] })), ['nginx']);
  assert.deepEqual(await names(filters({ 'is-official': { false: true } })), ['user/nginx', 'evil']);
  assert.deepEqual(await names(filters({ 'is-automated': ['true'] })), []);
});

test('the API: what is wrong with a request, and with a registry', async () => {
  for (const [query, status, message] of [
    ['&limit=x', 400, /invalid limit/],
    ['&limit=101', 400, /limit 101 is outside the range of \[1, 100\]/],
    ['&filters={"foo":["a"]}', 400, /invalid filter 'foo'/],
    ['&filters={"stars":["many"]}', 400, /invalid filter 'stars=many'/],
    ['&filters={"is-official":["maybe"]}', 400, /invalid filter 'is-official=\[maybe\]'/],
  ] as const) {
    const answer = await daemon.api('GET', encodeURI(`/images/search?term=${host}/nginx${query}`));
    assert.deepEqual([answer.status, message.test(answer.text)], [status, true], answer.text);
  }
  const broken = await daemon.api('GET', `/images/search?term=${host}/broken`);
  assert.deepEqual([broken.status, /Unexpected status code 500/.test(broken.text)], [503, true]);
  // On 401 the docker program would wait for a password to be typed.
  const refused = await daemon.api('GET', `/images/search?term=${host}/private`);
  assert.deepEqual([refused.status, /Unexpected status code 401/.test(refused.text)], [500, true]);
  const scheme = await daemon.api('GET', '/images/search?term=http://a/b');
  assert.match(scheme.text, /should not have a scheme/);
});

test('mydock search: a table that nobody’s description can break, and formats', async () => {
  assert.equal(
    await daemon.ok('search', `${host}/nginx`),
    [
      'NAME         DESCRIPTION                                     STARS     OFFICIAL',
      'nginx        Official build of Nginx.                        20000     [OK]',
      'user/nginx   long word word word word word word word word…   30        ',
      'evil         two lines [31mred                               3         ',
    ].join('\n'),
  );
  const rows = await daemon.ok(
    ...['search', '--no-trunc', '--limit', '2', '--filter', 'stars=10'],
    ...['--format', '{{.Name}}:{{.StarCount}}:{{.IsOfficial}}', `${host}/nginx`],
  );
  assert.equal(rows, 'nginx:20000:[OK]\nuser/nginx:30:');
  const json = JSON.parse(await daemon.ok('search', '--limit', '1', '--format', 'json', `${host}/nginx`));
  assert.deepEqual(json, {
    Description: 'Official build of Nginx.',
    IsOfficial: 'true',
    Name: 'nginx',
    StarCount: '20000',
  });
  await daemon.fails(1, /outside the range/, 'search', '--limit', '101', `${host}/nginx`);
});

// Older ones have a column that is gone.
for (const program of recentDockerPrograms()) {
  test(`${program} search prints the same`, async () => {
    for (const flags of [[], ['--no-trunc'], ['--format', 'json'], ['--format', '{{.IsOfficial}}']]) {
      const args = ['search', ...flags, '--limit', '2', `${host}/nginx`];
      const theirs = await daemon.docker(program, args);
      assert.equal(theirs.code, 0, theirs.stderr);
      assert.equal(await daemon.ok(...args), theirs.stdout.replace(/\n$/, ''), flags.join(' '));
    }
  });
}
