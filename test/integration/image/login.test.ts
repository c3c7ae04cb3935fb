/** login and logout: against a registry with passwords and one with a token server; where credentials end up. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { REGISTRY_PASSWORD, REGISTRY_USER, type Registry, startRegistry } from '../../fixtures/registry.ts';
import {
  startTokenServer,
  TOKEN_PASSWORD,
  TOKEN_USER,
  type TokenServer,
} from '../../fixtures/token-server.ts';
import { dockerPrograms } from '../engine.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let basic: Registry;
let tokens: TokenServer;
let bearer: Registry;
before(async () => {
  basic = await startRegistry({ password: true });
  tokens = await startTokenServer();
  bearer = await startRegistry({ auth: tokens.auth });
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await Promise.all([basic.stop(), bearer.stop()]);
    await tokens.stop();
  }
});
afterEach(() => rmSync(join(daemon.home, '.docker'), { recursive: true, force: true }));

const configPath = (): string => join(daemon.home, '.docker', 'config.json');
const config = (): string => readFileSync(configPath(), 'utf8');
const writeConfig = (value: object | string): void => {
  mkdirSync(join(daemon.home, '.docker'), { recursive: true });
  writeFileSync(configPath(), typeof value === 'string' ? value : JSON.stringify(value));
};
const logIn = (host: string, password: string, env: NodeJS.ProcessEnv = {}, user = REGISTRY_USER) =>
  daemon.mydock(['login', '-u', user, '--password-stdin', host], { stdin: `${password}\n`, env });
const pair = (user: string, password: string): string =>
  Buffer.from(`${user}:${password}`).toString('base64');

test('a refused password: the registry’s words, nothing stored', async () => {
  const { code, stderr } = await logIn(basic.host, 'wrong');
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `Error response from daemon: login attempt to http://${basic.host}/v2/ failed with status: 401 Unauthorized\n`,
  );
  assert.equal(existsSync(configPath()), false);
});

test('an accepted one is stored as Docker stores it, and used by pulls until logout', async () => {
  const reference = await basic.push('private', 'latest', await busyboxImage());
  const { code, stdout, stderr } = await logIn(`http://${basic.host}/v2/`, REGISTRY_PASSWORD);
  assert.deepEqual([code, stdout], [0, 'Login Succeeded\n']);
  assert.match(
    stderr,
    /^\nWARNING! Your credentials are stored unencrypted in '.*config\.json'\.\n.*\n.*\n\n$/,
  );
  const auth = pair(REGISTRY_USER, REGISTRY_PASSWORD);
  assert.equal(config(), `{\n\t"auths": {\n\t\t"${basic.host}": {\n\t\t\t"auth": "${auth}"\n\t\t}\n\t}\n}`);
  assert.equal(statSync(configPath()).mode & 0o777, 0o600);
  await daemon.ok('pull', '-q', reference);
  const again = await daemon.mydock(['login', basic.host]);
  assert.deepEqual([again.code, again.stdout], [0, 'Login Succeeded\n']);
  assert.match(again.stderr, /^Authenticating with existing credentials\.\.\. \[Username: tester\]\n/);
  assert.equal(await daemon.ok('logout', basic.host), `Removing login credentials for ${basic.host}`);
  assert.equal(config(), '{\n\t"auths": {}\n}');
  await daemon.fails(1, /no basic auth credentials/, 'pull', reference);
  await daemon.ok('rmi', reference);
});

test('what else stands in the configuration stays', async () => {
  writeConfig(
    '{"auths":{"z.example":{"auth":"eDp5","email":"a"}},"psFormat":"a<b","big":123456789012345678901}',
  );
  await logIn(basic.host, REGISTRY_PASSWORD);
  const text = config();
  assert.match(text, /\n\t"psFormat": "a<b",\n\t"big": 123456789012345678901\n}$/);
  assert.match(text, /"z\.example": \{\n\t\t\t"auth": "eDp5",\n\t\t\t"email": "a"\n\t\t\}/);
  writeConfig('{"auths":');
  const broken = await logIn(basic.host, REGISTRY_PASSWORD);
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /Error parsing config file/);
  assert.equal(config(), '{"auths":', 'a file that is not understood is not written over');
});

test('a token server: its refresh token is stored in the password’s place, and pulls use it', async () => {
  const image = await busyboxImage();
  const refused = await logIn(bearer.host, 'wrong', {}, TOKEN_USER);
  assert.match(refused.stderr, /unauthorized: incorrect username or password/);
  const accepted = await logIn(bearer.host, TOKEN_PASSWORD, {}, TOKEN_USER);
  assert.deepEqual([accepted.code, accepted.stdout, accepted.stderr], [0, 'Login Succeeded\n', '']);
  const entry = JSON.parse(config()).auths[bearer.host];
  assert.deepEqual(entry, { auth: pair(TOKEN_USER, ''), identitytoken: 'opaque-refresh-token' });
  tokens.grants.length = 0;
  await daemon.fails(1, /manifest unknown|not found/, 'pull', `${bearer.host}/none/${image.id.slice(7, 15)}`);
  assert.deepEqual([...new Set(tokens.grants)], ['refresh_token']);
});

/** A helper that keeps one entry in a file, and writes down what it was asked. */
function helper(name: string, script: string): NodeJS.ProcessEnv {
  const folder = join(daemon.folder, 'helpers');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\ncd ${folder}\n${script}\n`);
  chmodSync(path, 0o755);
  return { PATH: `${folder}:${process.env['PATH']}` };
}

const KEEPER = `
input=$(cat); echo "$1 $input" >> log
case $1 in
  store) echo "$input" > kept;;
  get) cat kept 2>/dev/null || { echo credentials not found in native keychain; exit 1; };;
  erase) rm -f kept;;
  list) echo '{}';;
esac`;

for (const key of ['credsStore', 'credHelpers']) {
  test(`${key}: the helper keeps the password, the file does not`, async () => {
    const reference = await basic.push('kept', 'latest', await busyboxImage());
    const env = helper('keeper', KEEPER);
    writeConfig(
      key === 'credsStore' ? { credsStore: 'keeper' } : { credHelpers: { [basic.host]: 'keeper' } },
    );
    const { stdout, stderr } = await logIn(basic.host, REGISTRY_PASSWORD, env);
    assert.deepEqual([stdout, stderr], ['Login Succeeded\n', '']);
    assert.deepEqual(JSON.parse(config()).auths, { [basic.host]: {} });
    const log = (): string => readFileSync(join(daemon.folder, 'helpers', 'log'), 'utf8');
    assert.ok(
      log().includes(
        `store {"ServerURL":"${basic.host}","Username":"${REGISTRY_USER}","Secret":"${REGISTRY_PASSWORD}"}\n`,
      ),
    );
    const pulled = await daemon.mydock(['pull', '-q', reference], { env });
    assert.equal(pulled.code, 0, pulled.stderr);
    const out = await daemon.mydock(['logout', basic.host], { env });
    assert.deepEqual([out.code, out.stderr], [0, '']);
    assert.ok(log().includes(`erase ${basic.host}\n`));
    assert.deepEqual(JSON.parse(config()).auths, {});
    const refused = await daemon.mydock(['pull', '-q', reference], { env });
    assert.match(refused.stderr, /no basic auth credentials/);
    await daemon.ok('rmi', reference);
  });
}

test('helpers that fail are shown', async () => {
  const env = helper('locked', 'echo the keychain is locked; echo noise >&2; exit 3');
  writeConfig({ credsStore: 'locked' });
  const stored = await logIn(basic.host, REGISTRY_PASSWORD, env);
  assert.equal(stored.code, 1);
  assert.match(
    stored.stderr,
    /noise\nError saving credentials: error storing credentials - err: exit status 3, out: `the keychain is locked`\n$/,
  );
  const out = await daemon.mydock(['logout', basic.host], { env });
  assert.equal(out.code, 1);
  assert.match(out.stderr, /WARNING: could not erase credentials:\n.*the keychain is locked/);
  const pulled = await daemon.mydock(['pull', `${basic.host}/x`], { env });
  assert.match(pulled.stderr, /WARNING: .*: error getting credentials - err: exit status 3/);
  writeConfig({ credsStore: 'missing' });
  const missing = await logIn(basic.host, REGISTRY_PASSWORD, env);
  assert.match(missing.stderr, /exec: "docker-credential-missing": executable file not found in \$PATH/);
});

test('on a terminal: asked for both, and the password is not shown', async () => {
  const live = daemon.live(['login', basic.host], { tty: true });
  await live.sees(/Username: $/);
  live.type(`${REGISTRY_USER}\n`);
  await live.sees(/Password: $/);
  live.type(`${REGISTRY_PASSWORD}X\x7f\n`);
  const { code, stdout } = await live.ended;
  assert.equal(code, 0, stdout);
  assert.match(stdout, /Login Succeeded/);
  assert.equal(stdout.includes(REGISTRY_PASSWORD), false);
  assert.equal(JSON.parse(config()).auths[basic.host].auth, pair(REGISTRY_USER, REGISTRY_PASSWORD));
});

test('what cannot be asked for', async () => {
  await daemon.fails(
    1,
    /^Error: Cannot perform an interactive login from a non TTY device\n$/,
    'login',
    basic.host,
  );
  await daemon.fails(1, /--password-stdin option requires --username/, 'login', '--password-stdin');
  await daemon.fails(
    1,
    /cannot specify both --password and --password-stdin/,
    ...['login', '-u', 'a', '-p', 'b', '--password-stdin'],
  );
  await daemon.fails(1, /connection refused/, 'login', '-u', 'a', '-p', 'b', '127.0.0.1:1');
});

test('a build sends all credentials: its base image may come from anywhere', async () => {
  const reference = await basic.push('base', 'latest', await busyboxImage());
  await logIn(basic.host, REGISTRY_PASSWORD);
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${reference}\nLABEL a=b\n`);
  await daemon.ok('build', '-q', '-t', 'built', folder);
  await daemon.ok('rmi', 'built', reference);
});

for (const program of dockerPrograms()) {
  test(`${program} login and logout`, async () => {
    const args = ['login', '-u', REGISTRY_USER, '--password-stdin', basic.host];
    const { code, stdout, stderr } = await daemon.docker(program, args, { stdin: REGISTRY_PASSWORD });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Login Succeeded/);
    const own = config();
    await daemon.ok('logout', basic.host);
    await logIn(basic.host, REGISTRY_PASSWORD);
    assert.equal(config(), own, 'both write the same bytes');
  });
}
