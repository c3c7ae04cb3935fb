/** The daemon's socket, the API's versions, and what its command line refuses. */
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../command.ts';
import { daemonCommand, TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
before(async () => {
  daemon = await Daemon.start();
});
after(async () => await daemon.close());

test('the socket is for root and its group alone', { skip }, () => {
  const { mode, uid } = statSync(daemon.socket);
  assert.equal((mode & 0o777).toString(8), '660');
  assert.equal(uid, 0);
});

test('/_ping, versions in the path, and what is not there', async () => {
  const ping = await daemon.api('GET', '/_ping');
  assert.deepEqual([ping.status, ping.text], [200, 'OK']);
  for (const header of ['api-version', 'ostype', 'docker-experimental', 'server', 'cache-control']) {
    assert.ok(ping.headers[header] !== undefined, header);
  }
  assert.deepEqual((await daemon.api('HEAD', '/_ping')).text, '');
  for (const version of ['v1.24', 'v1.41'])
    assert.equal((await daemon.api('GET', `/${version}/containers/json`)).status, 200);
  const old = await daemon.api('GET', '/v1.11/containers/json');
  assert.equal(old.status, 400);
  assert.match(old.text, /client version 1\.11 is too old/);
  const future = await daemon.api('GET', '/v9.99/containers/json');
  assert.equal(future.status, 400);
  assert.match(future.text, /client version 9\.99 is too new/);
  const missing = await daemon.api('GET', '/nowhere');
  assert.equal(missing.status, 404);
  assert.equal(missing.json<{ message: string }>().message, 'page not found');
});

test('what is not built says so', { skip }, async () => {
  const answer = await daemon.api('GET', '/swarm');
  assert.ok([501, 503].includes(answer.status), String(answer.status));
  assert.match(answer.json<{ message: string }>().message, /swarm|not implemented/i);
});

test('version and info', async () => {
  assert.match(await daemon.ok('version', '--format', '{{.Server.APIVersion}}'), /^1\.\d+$/);
  assert.match(
    await daemon.ok('info', '--format', '{{.Driver}} {{.OSType}} {{.CgroupVersion}}'),
    /^\w+ linux [12]$/,
  );
  assert.match(await daemon.ok('info'), /Storage Driver: \w+/);
});

test('a second daemon on the same data root is refused', { skip }, async () => {
  const place = { dataRoot: daemon.dataRoot, execRoot: '/run/second', socket: '/run/second.sock' };
  const result = await run(daemonCommand(place, []));
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /data|lock|in use|another/i);
});

test('malformed flags and configuration files are refused by name', { skip }, async () => {
  const place = { dataRoot: join(daemon.folder, 'other'), execRoot: '/run/other', socket: '/run/other.sock' };
  const file = join(daemon.folder, 'daemon.json');
  const refused = async (args: string[], message: RegExp): Promise<void> => {
    const result = await run(daemonCommand(place, args));
    // 78 (EX_CONFIG): the unit of systemd does not try again. Which drivers there are is found out later.
    const expected = args[0] === '--storage-driver' ? 1 : 78;
    assert.equal(result.code, expected, result.stderr);
    assert.match(result.stderr, message);
  };
  writeFileSync(file, '{"no-such-key": 1}');
  await refused(['--config-file', file], /no-such-key/);
  writeFileSync(file, '{nonsense');
  await refused(['--config-file', file], /daemon\.json/);
  await refused(['--storage-driver', 'nonsense'], /nonsense/);
  await refused(['--bip', 'nonsense'], /nonsense/);
  await refused(['--no-such-flag'], /no-such-flag/);
});

test('a host that was configured is not started, and named', async () => {
  const env = { MYDOCK_HOST: 'unix:///run/nobody.sock', DOCKER_HOST: 'unix:///run/nobody.sock' };
  const result = await daemon.mydock(['ps'], { env });
  assert.equal(result.code, 1);
  assert.match(
    result.stderr,
    /[Cc]annot connect to the (Docker|mydock) daemon at unix:\/\/\/run\/nobody\.sock/,
  );
});
