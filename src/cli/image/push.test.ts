/** What `mydock push` asks for and prints. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Respond } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';

const PUSHED = { Tag: '1', Digest: 'sha256:aa', Size: 406 };

const stream =
  (...messages: object[]): Respond =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(''));
  };

const success = stream(
  { status: 'The push refers to repository [docker.io/team/app]' },
  { id: 'abc', status: 'Preparing', progressDetail: {} },
  { id: 'abc', status: 'Pushing', progressDetail: { current: 5, total: 10 } },
  { id: 'abc', status: 'Pushed', progressDetail: {} },
  { status: '1: digest: sha256:aa size: 406' },
  { progressDetail: {}, aux: PUSHED },
);

test('progress as plain lines', async () => {
  const { exitCode, io, calls } = await mydock(['push', 'team/app:1'], success);
  assert.equal(exitCode, 0);
  assert.equal(
    io.out(),
    'The push refers to repository [docker.io/team/app]\nabc: Preparing\nabc: Pushed\n1: digest: sha256:aa size: 406\n',
  );
  assert.equal(io.err(), '');
  assert.deepEqual(calls, ['POST /images/docker.io/team/app/push?tag=1']);
});

test('default tag, all tags, quiet, platform', async () => {
  const latest = await mydock(['image', 'push', 'app'], success);
  assert.match(latest.io.out(), /^Using default tag: latest\nThe push/);
  assert.deepEqual(latest.calls, ['POST /images/docker.io/library/app/push?tag=latest']);
  const all = await mydock(['push', '-a', 'localhost:5000/app'], success);
  assert.deepEqual(all.calls, ['POST /images/localhost:5000/app/push']);
  const quiet = await mydock(['push', '-q', 'app'], success);
  assert.equal(quiet.io.out(), 'docker.io/library/app:latest\n');
  const platform = await mydock(['push', '--platform', 'linux/arm/v7', 'app:1'], success);
  const { searchParams } = new URL(platform.calls[0]?.split(' ')[1] ?? '', 'http://x');
  assert.deepEqual(JSON.parse(searchParams.get('platform') ?? ''), {
    os: 'linux',
    architecture: 'arm',
    variant: 'v7',
  });
});

test('what makes no sense is not asked for', async () => {
  for (const [words, message] of [
    [['-a', 'app:1'], "tag can't be used with --all-tags/-a"],
    [[`app@sha256:${'a'.repeat(64)}`], 'cannot push a digest reference'],
    [['UPPER'], 'must be lowercase'],
  ] as const) {
    const { exitCode, io, calls } = await mydock(['push', ...words]);
    assert.equal(exitCode, 1);
    assert.ok(io.err().includes(message), io.err());
    assert.deepEqual(calls, []);
  }
});

test('an error in the stream, a note about platforms that were left out, credentials', async () => {
  const home = mkdtempSync(join(tmpdir(), 'mydock-push-'));
  try {
    const auth = Buffer.from('joe:pw').toString('base64');
    writeFileSync(join(home, 'config.json'), JSON.stringify({ auths: { 'localhost:5000': { auth } } }));
    const respond = stream(
      { status: 'The push refers to repository [localhost:5000/app]' },
      {
        aux: {
          manifestPushedInsteadOfIndex: true,
          originalIndex: { digest: 'sha256:index' },
          selectedManifest: { digest: 'sha256:manifest', platform: { os: 'linux', architecture: 'amd64' } },
        },
      },
      { errorDetail: { message: 'denied: no' }, error: 'denied: no' },
    );
    const options = { env: { DOCKER_CONFIG: home } };
    const { exitCode, io, daemon } = await mydock(['push', 'localhost:5000/app:1'], respond, options);
    assert.equal(exitCode, 1);
    assert.match(
      io.err(),
      /Info: Only the image for linux\/amd64 was pushed: .*\n {6}sha256:index -> sha256:manifest\n/,
    );
    assert.match(io.err(), /denied: no\n$/);
    const header = String(daemon.requests[0]?.headers['x-registry-auth']);
    const sent = JSON.parse(Buffer.from(header, 'base64url').toString()) as { username: string };
    assert.equal(sent.username, 'joe');
  } finally {
    rmSync(home, { recursive: true });
  }
});
