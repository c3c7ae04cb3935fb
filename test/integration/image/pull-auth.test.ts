/** Registries that want to know who asks: Basic, anonymous and personal Bearer tokens, refusals, mirrors. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import { REGISTRY_PASSWORD, REGISTRY_USER, type Registry, startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let basic: Registry;
let bearer: Gateway;
let mirror: Gateway;
before(async () => {
  basic = await startRegistry({ password: true });
  bearer = await startGateway({ token: {} });
  mirror = await startGateway();
  mirror.add('library/mirrored', 'latest', await busyboxImage({ config: { Labels: { from: 'mirror' } } }));
  daemon = await Daemon.start(['--registry-mirror', `http://${mirror.host}`]);
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await Promise.all([basic.stop(), bearer.stop(), mirror.stop()]);
  }
});

/** Writes the clients' stored credentials, as `docker login` leaves them. */
function logIn(host: string, user: string, password: string): void {
  const folder = join(daemon.home, '.docker');
  mkdirSync(folder, { recursive: true });
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }));
}

function logOut(): void {
  rmSync(join(daemon.home, '.docker'), { recursive: true, force: true });
}

test('Basic: refused without credentials and with wrong ones, taken with the right ones', async () => {
  const reference = await basic.push('secret', 'latest', await busyboxImage());
  await daemon.fails(1, /no basic auth credentials|authentication required|unauthorized/, 'pull', reference);
  logIn(basic.host, REGISTRY_USER, 'wrong');
  await daemon.fails(1, /unauthorized|authentication required/, 'pull', reference);
  logIn(basic.host, REGISTRY_USER, REGISTRY_PASSWORD);
  await daemon.ok('pull', '-q', reference);
  logOut();
  await daemon.ok('rmi', reference);
});

test('X-Registry-Auth is read by the API', async () => {
  const reference = await basic.push('secret', 'api', await busyboxImage());
  logOut();
  const answer = await daemon.api('POST', `/images/create?fromImage=${encodeURIComponent(reference)}`);
  assert.match(answer.text, /no basic auth credentials|authentication required|unauthorized/);
  // On 401 the docker program would wait for a password to be typed.
  assert.equal(answer.status, 500);
});

test('an anonymous token', async () => {
  const reference = bearer.add('library/open', 'latest', await busyboxImage());
  await daemon.ok('pull', '-q', reference);
  const requests = bearer.requests.filter((request) => request.path === '/token');
  assert.ok(requests.length >= 1 && requests.length <= 3, `${requests.length} token requests`);
  assert.equal(requests[0]?.authorization, undefined);
  await daemon.ok('rmi', reference);
});

test('a token for a user', async () => {
  bearer.rules.token = { user: 'alice', password: 'secret' };
  const reference = bearer.add('private/thing', 'latest', await busyboxImage());
  await daemon.fails(1, /unauthorized|denied|incorrect username or password/, 'pull', reference);
  logIn(bearer.host, 'alice', 'secret');
  await daemon.ok('pull', '-q', reference);
  logOut();
  await daemon.ok('rmi', reference);
});

test('a mirror serves the names of Docker Hub', async () => {
  await daemon.ok('pull', '-q', 'mirrored');
  assert.equal(
    await daemon.inspect('mirrored', '{{index .Config.Labels "from"}} {{json .RepoTags}}'),
    'mirror ["mirrored:latest"]',
  );
});
