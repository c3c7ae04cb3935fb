/** The verbs around registries, against a played daemon: what is sent, what is stored, what is printed. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';

const root = mkdtempSync(join(tmpdir(), 'mydock-registry-verbs-'));
after(() => rmSync(root, { recursive: true }));

function home(config?: object): { env: Record<string, string>; text(): string } {
  const HOME = mkdtempSync(join(root, 'home-'));
  mkdirSync(join(HOME, '.docker'));
  const path = join(HOME, '.docker', 'config.json');
  if (config !== undefined) writeFileSync(path, JSON.stringify(config));
  return { env: { HOME }, text: () => readFileSync(path, 'utf8') };
}

const pair = (user: string): { auth: string } => ({ auth: Buffer.from(`${user}:pw`).toString('base64') });
const decode = (header: unknown): unknown => JSON.parse(Buffer.from(String(header), 'base64url').toString());

const accept: Respond = (_, response) =>
  sendJson(response, { Status: 'Login Succeeded', IdentityToken: 'T' });
const pulled: Respond = ({ url }, response) => {
  const mirrors = { 'docker.io': { Name: 'docker.io', Mirrors: ['https://m.example/hub/'] } };
  if (url.includes('/info')) sendJson(response, { RegistryConfig: { IndexConfigs: mirrors } });
  else response.end('{"status":"Registry r answered 429; using the local copy sha256:1 of 2024-01-01"}\n');
};

test('login: an identity token takes the password’s place', async () => {
  const { env, text } = home();
  const words = ['login', '-u', 'me', '--password-stdin', 'https://r.example/v2/'];
  const { exitCode, io, daemon } = await mydock(words, accept, { env, stdin: ['pw\r\n'] });
  assert.deepEqual([exitCode, io.out(), io.err()], [0, 'Login Succeeded\n', '']);
  assert.deepEqual(JSON.parse(daemon.requests[0]?.body.toString() ?? ''), {
    username: 'me',
    password: 'pw',
    serveraddress: 'r.example',
  });
  const auth = Buffer.from('me:').toString('base64');
  assert.deepEqual(JSON.parse(text()), { auths: { 'r.example': { auth, identitytoken: 'T' } } });
});

test('login and logout without a server are Docker Hub’s', async () => {
  for (const server of [[], ['docker.io'], ['https://index.docker.io/v1/']]) {
    const { env, text } = home();
    await mydock(['login', '-u', 'me', '--password-stdin', ...server], accept, { env, stdin: ['pw'] });
    assert.deepEqual(Object.keys(JSON.parse(text()).auths), ['https://index.docker.io/v1/']);
    const { io } = await mydock(['logout', ...server], undefined, { env });
    assert.equal(io.out(), 'Removing login credentials for https://index.docker.io/v1/\n');
    assert.deepEqual(JSON.parse(text()).auths, {});
  }
});

test('login: stored credentials that are refused stay, and the user is asked', async () => {
  const { env, text } = home({ auths: { 'r.example': pair('me') } });
  const before = text();
  const refuse: Respond = (_, response) => sendJson(response, { message: 'no' }, 401);
  const { exitCode, io } = await mydock(['login', 'r.example'], refuse, { env });
  assert.equal(exitCode, 1);
  assert.match(io.err(), /^Authenticating with existing credentials\.\.\. \[Username: me\]\n/);
  assert.match(io.err(), /Login did not succeed, error: Error response from daemon: no\n/);
  assert.match(io.err(), /non TTY device\n$/);
  assert.equal(text(), before);
});

test('logout removes every name of a server', async () => {
  const names = ['r.example', 'http://r.example', 'https://r.example', 'https://r.example/v1/', 'other'];
  const { env, text } = home({ auths: Object.fromEntries(names.map((name) => [name, pair('me')])) });
  await mydock(['logout', 'https://r.example/v1/'], undefined, { env });
  assert.deepEqual(Object.keys(JSON.parse(text()).auths), ['other']);
});

test('a pull sends the credentials of its registry, and of a mirror that has some', async () => {
  const hub = 'https://index.docker.io/v1/';
  const alone = await mydock(['pull', '-q', 'app'], pulled, {
    env: home({ auths: { [hub]: pair('hub') } }).env,
  });
  assert.deepEqual(alone.calls, ['POST /images/create?fromImage=docker.io%2Flibrary%2Fapp&tag=latest']);
  const auths = { [hub]: pair('hub'), 'm.example': pair('mirror'), 'other.example': pair('other') };
  const { daemon, calls } = await mydock(['pull', '-q', 'app'], pulled, { env: home({ auths }).env });
  assert.equal(calls[0], 'GET /info');
  const { headers } = daemon.requests[1] ?? assert.fail('no pull');
  const sent = { username: 'hub', password: 'pw', serveraddress: hub };
  assert.deepEqual(decode(headers['x-registry-auth']), sent);
  const mirror = { username: 'mirror', password: 'pw', serveraddress: 'm.example' };
  assert.deepEqual(decode(headers['x-registry-config']), { 'm.example': mirror });
});

test('pull --stale: asked for, refused, or left to the daemon; told also where it is quiet', async () => {
  const { env } = home();
  for (const [flags, query] of [
    [[], ''],
    [['--stale'], '&stale=1'],
    [['--stale=false'], '&stale=0'],
  ] as const) {
    const { calls, io } = await mydock(['pull', '-q', ...flags, 'app'], pulled, { env });
    assert.deepEqual(calls, [`POST /images/create?fromImage=docker.io%2Flibrary%2Fapp&tag=latest${query}`]);
    assert.match(io.err(), /^Registry r answered 429; using the local copy/);
    assert.equal(io.out(), 'docker.io/library/app:latest\n');
  }
});

test('a configuration that cannot be read is told, and the pull is anonymous', async () => {
  const { env } = home();
  writeFileSync(join(env['HOME'] ?? '', '.docker', 'config.json'), '{');
  const { exitCode, io, daemon } = await mydock(['pull', '-q', 'app'], pulled, { env });
  assert.equal(exitCode, 0);
  assert.match(io.err(), /^WARNING: Error parsing config file/);
  assert.equal(daemon.requests[0]?.headers['x-registry-auth'], undefined);
});
