import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Respond, sendJson } from '../../client/fake-daemon.ts';
import { mydock } from '../run-in-test.ts';
import { parseCache } from './cache-flag.ts';
import { isAddress, remoteContext } from './named-context-flag.ts';
import { parseOutput } from './output-flag.ts';
import { parseSecret, parseSsh } from './secret-flag.ts';

const ID = `sha256:${'ab'.repeat(32)}`;

/** A daemon whose builds all succeed at once; `unseen`: it does not see folders of its clients. */
function builder(options: { unseen?: boolean; messages?: object[] } = {}): Respond {
  return ({ url }, response) => {
    if (url.includes('_ping')) {
      response.setHeader('api-version', '1.51');
      response.end('OK');
    } else if (options.unseen === true && url.includes('contextfolder')) {
      sendJson(response, { message: 'unseen' }, 412);
    } else {
      const metadata = {
        id: 'mydock.build.metadata',
        aux: { metadata: { b: '2', a: '{"x":1}' }, lock: 'L\n' },
      };
      const messages = options.messages ?? [{ aux: { ID } }, metadata];
      response.end(messages.map((message) => `${JSON.stringify(message)}\r\n`).join(''));
    }
  };
}

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'mydock-build-'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n');
});
after(() => rmSync(folder, { recursive: true }));

function query(calls: readonly string[]): URLSearchParams {
  const build = calls.find((call) => call.startsWith('POST /build?')) ?? '';
  return new URLSearchParams(build.slice(build.indexOf('?') + 1));
}

describe('values of flags', () => {
  test('outputs', () => {
    assert.deepEqual(parseOutput('-'), { type: 'tar', attributes: {}, dest: '-' });
    assert.deepEqual(parseOutput('out/dir'), { type: 'local', attributes: {}, dest: 'out/dir' });
    assert.deepEqual(parseOutput('type=image,"name=a,b",push=true'), {
      type: 'image',
      attributes: { name: 'a,b', push: 'true' },
    });
    for (const [text, reason] of [
      ['', /empty/],
      ['type=zip', /unknown type "zip"/],
      ['dest=x', /type is required/],
      ['type=local', /dest is required/],
      ['type=tar,x', /invalid field "x"/],
    ] as const) {
      assert.throws(() => parseOutput(text), { message: reason });
    }
  });

  test('secrets and agents', () => {
    assert.deepEqual(parseSecret('id=a,src=/x'), { id: 'a', file: '/x' });
    assert.deepEqual(parseSecret('id=a,env=B'), { id: 'a', env: 'B' });
    assert.deepEqual(parseSecret('type=env,id=a'), { id: 'a', env: 'a' });
    assert.deepEqual(parseSecret('type=env,id=a,src=B'), { id: 'a', env: 'B' });
    assert.throws(() => parseSecret('src=/x'), { message: /needs id=/ });
    assert.throws(() => parseSecret('id=a,mode=1'), { message: /unexpected key "mode"/ });
    assert.throws(() => parseSecret('id=a,type=vault'), { message: /unsupported secret type "vault"/ });
    assert.throws(() => parseSecret('id=a,src=x,env=y'), { message: /not both/ });
    assert.deepEqual(parseSsh('default'), { id: 'default', paths: [] });
    assert.deepEqual(parseSsh('git=/s'), { id: 'git', paths: ['/s'] });
    assert.deepEqual(parseSsh('a=k1,k2'), { id: 'a', paths: ['k1', 'k2'] });
    assert.throws(() => parseSsh('a=k1,'), { message: /a has an empty path/ });
  });

  test('caches and contexts', () => {
    assert.deepEqual(parseCache('user/app:1'), { type: 'registry', attributes: { ref: 'user/app:1' } });
    assert.deepEqual(parseCache('type=local,src=c'), { type: 'local', attributes: { src: 'c' } });
    assert.throws(() => parseCache('type=registry'), { message: /needs ref=/ });
    assert.throws(() => parseCache('ref=a'), { message: /type is required/ });
    assert.deepEqual(remoteContext('docker-image://alpine:3'), { kind: 'image', reference: 'alpine:3' });
    assert.deepEqual(remoteContext('target:base'), { kind: 'stage', name: 'base' });
    assert.deepEqual(remoteContext('https://h/x.git#main'), { kind: 'git', url: 'https://h/x.git#main' });
    assert.deepEqual(remoteContext('https://h/x.tgz'), { kind: 'http', url: 'https://h/x.tgz' });
    assert.equal(remoteContext('../other'), undefined);
    const digest = `sha256:${'a'.repeat(64)}`;
    assert.deepEqual(remoteContext(`oci-layout://../out:v1@${digest}`), {
      kind: 'oci-layout',
      path: '../out',
      tag: 'v1',
      digest,
    });
    assert.deepEqual(remoteContext('oci-layout:///a:b/out'), {
      kind: 'oci-layout',
      path: '/a:b/out',
      tag: '',
      digest: '',
    });
    assert.throws(() => remoteContext('oci-layout://out@sha256:12'), /invalid digest "sha256:12"/);
    assert.throws(() => remoteContext('oci-layout://:v1'), /needs a folder/);
    assert.deepEqual(['.', 'git@h:a/b', 'github.com/a/b', 'github'].map(isAddress), [
      false,
      true,
      true,
      false,
    ]);
  });
});

test('a folder is named, in one request', async () => {
  const { exitCode, calls, io } = await mydock(
    [
      'build',
      '-t',
      'a',
      '-t',
      'b:1',
      '--add-host',
      'x:1.2.3.4',
      '--add-host',
      'y=::1',
      '--no-cache-filter',
      'one,two',
      '--platform',
      'linux/amd64',
      '--platform',
      'linux/arm64',
      folder,
    ],
    builder(),
    { env: { SOURCE_DATE_EPOCH: '5' } },
  );
  assert.equal(exitCode, 0, io.err());
  assert.equal(calls.length, 1);
  const sent = query(calls);
  const { dev, ino } = statSync(folder, { bigint: true });
  assert.deepEqual(JSON.parse(sent.get('contextfolder') ?? ''), {
    path: folder,
    device: String(dev),
    inode: String(ino),
  });
  assert.equal(sent.get('progress'), 'status');
  assert.deepEqual(sent.getAll('t'), ['a', 'b:1']);
  assert.equal(sent.get('extrahosts'), 'x:1.2.3.4,y:::1');
  assert.equal(sent.get('nocachefilter'), '["one","two"]');
  assert.equal(sent.get('nocache'), null);
  assert.equal(sent.get('platform'), 'linux/amd64,linux/arm64');
  assert.equal(sent.get('buildargs'), '{"SOURCE_DATE_EPOCH":"5"}');
  assert.equal(sent.get('session'), null);
});

test('a daemon that does not see the folder gets an archive', async () => {
  const { exitCode, calls, daemon, io } = await mydock(['build', '-q', folder], builder({ unseen: true }));
  assert.deepEqual([exitCode, io.out()], [0, `${ID}\n`]);
  const [first, last] = [calls[0] ?? '', calls.at(-1) ?? ''];
  assert.ok(first.includes('contextfolder') && !last.includes('contextfolder'), calls.join('\n'));
  assert.match(daemon.requests.at(-1)?.body ?? '', /FROM scratch/);
});

test('files tell of the result; a lock is written beside the Dockerfile and makes it no newer', async () => {
  const files = { id: join(folder, 'id'), metadata: join(folder, 'metadata') };
  const words = ['build', '--lock', '--iidfile', files.id, '--metadata-file', files.metadata, folder];
  const { exitCode, calls, io } = await mydock(words, builder());
  assert.equal(exitCode, 0, io.err());
  assert.equal(query(calls).get('lock'), 'update');
  assert.equal(readFileSync(files.id, 'utf8'), ID);
  assert.deepEqual(JSON.parse(readFileSync(files.metadata, 'utf8')), { a: { x: 1 }, b: '2' });
  const lock = join(folder, 'Dockerfile.lock');
  assert.equal(readFileSync(lock, 'utf8'), 'L\n');
  assert.ok(statSync(lock).mtimeMs <= statSync(join(folder, 'Dockerfile')).mtimeMs);
  const locked = await mydock(['build', '--locked', folder], builder());
  assert.deepEqual(
    [query(locked.calls).get('lock'), query(locked.calls).get('lockcontent')],
    ['frozen', 'L\n'],
  );
  rmSync(lock);
  const missing = await mydock(['build', '--locked', folder], builder());
  assert.deepEqual([missing.exitCode, missing.calls], [1, []]);
  assert.match(missing.io.err(), /Dockerfile\.lock does not exist/);
});

test('a failure shows the output, the lines and the reason; the exit code is 1', async () => {
  const vertex = { digest: 'd', name: '[2/2] RUN make', started: '2024-01-01T00:00:00Z' };
  const data = Buffer.from('no rule\u001b[2J\n').toString('base64');
  const status = (aux: object): object => ({ id: 'mydock.build.status', aux });
  const messages = [
    status({ vertexes: [vertex] }),
    status({ logs: [{ vertex: 'd', stream: 2, data, timestamp: '2024-01-01T00:00:01Z' }] }),
    status({ vertexes: [{ ...vertex, completed: '2024-01-01T00:00:02Z', error: 'exit code: 2' }] }),
    { errorDetail: { code: 2, message: 'exit code: 2', excerpt: 'Dockerfile:2\n' }, error: 'exit code: 2' },
  ];
  const { exitCode, io } = await mydock(['build', '-q', folder], builder({ messages }));
  assert.deepEqual([exitCode, io.out()], [1, '']);
  assert.equal(
    io.err(),
    '------\n > [2/2] RUN make:\n1.000 no rule\\x1b[2J\n------\nDockerfile:2\nERROR: failed to build: failed to solve: exit code: 2\n',
  );
});

test('flags that cannot be: each has its own message, and the daemon is not asked', async () => {
  const refusals: [string[], RegExp][] = [
    [['--progress', 'fancy'], /invalid argument "fancy" for "--progress" flag: it must be one of auto/],
    [['--allow', 'all'], /invalid argument "all" for "--allow" flag/],
    [['--call', 'outlines'], /"--call" flag: it must be/],
    [['--on-error', 'retry'], /"--on-error" flag: it must be shell/],
    [['--on-error', 'shell'], /needs a terminal/],
    [['--build-context', 'x'], /it must be name=value/],
    [['--builder', 'other'], /no builder "other"/],
    [['--lock', '--locked'], /cannot be used together/],
    [['--check', '--push'], /build nothing/],
    [['--quiet', '--progress', 'tty'], /progress=tty and quiet/],
    [['--verify', '-o', 'dir'], /outputs that are none/],
    [['--annotation', 'x'], /invalid argument "x" for "--annotation"/],
    [['--ulimit', 'x'], /invalid ulimit argument/],
    [['-o', 'type=local'], /dest is required/],
    [['--secret', 'id=x,src=/no/such'], /cannot use secret x: stat \/no\/such: no such file/],
    [['--ssh', 'default'], /SSH_AUTH_SOCK is not set/],
    [['--provenance', 'mode=max'], /Attestations are not supported: --provenance=mode=max/],
    [
      ['--sbom=true', '--attest', 'type=sbom'],
      /: --attest type=sbom, --sbom=true \(false turns them off\)$/m,
    ],
  ];
  for (const [flags, message] of refusals) {
    const { exitCode, io, calls } = await mydock(['build', ...flags, folder], builder());
    assert.notEqual(exitCode, 0, flags.join(' '));
    assert.match(io.err(), message);
    assert.deepEqual(calls, [], flags.join(' '));
  }
  const wrong = await mydock(['build', folder], builder(), { env: { BUILDKIT_PROGRESS: 'x' } });
  assert.match(wrong.io.err(), /invalid value "x" of BUILDKIT_PROGRESS/);
  const silent = await mydock(['build', '--progress', 'none', folder], builder());
  assert.deepEqual([silent.exitCode, silent.io.out(), silent.io.err()], [0, '', '']);
  const off = ['--sbom', '0', '--provenance=false', '--attest', 'type=sbom,disabled=true'];
  const without = await mydock(['build', '--progress', 'none', ...off, folder], builder());
  assert.deepEqual([without.exitCode, without.io.err()], [0, '']);
});

describe('a daemon that is not mydockd', () => {
  for (const [status, message] of [
    [500, 'invalid version "mydock"'],
    [400, 'invalid version mydock'],
  ] as const) {
    test(`dockerd is asked once by a folder, refuses the builder with ${status}; it is said what to do`, async () => {
      const { exitCode, io, calls } = await mydock(['build', '--check', folder], (_, response) => {
        response.setHeader('server', 'Docker/20.10.24 (linux)');
        sendJson(response, { message }, status);
      });
      assert.equal(exitCode, 1);
      assert.match(io.err(), /the daemon is not mydockd, .*docker build/);
      assert.equal(calls.length, 1);
      assert.equal(query(calls).get('version'), 'mydock');
    });
  }

  for (const server of ['Docker/28.0.1 (linux)', 'Libpod/4.3.1 (linux)']) {
    test(`${server} gets no context`, async () => {
      const { exitCode, io, calls } = await mydock(
        ['build', '-'],
        (_, response) => {
          response.setHeader('server', server);
          response.setHeader('api-version', '1.41');
          response.end('OK');
        },
        { stdin: 'FROM scratch\n' },
      );
      assert.equal(exitCode, 1);
      assert.match(io.err(), /the daemon is not mydockd/);
      assert.deepEqual(calls, ['GET /_ping']);
    });
  }

  test('an engine that takes the order without a word is not taken for success', async () => {
    const { exitCode, io } = await mydock(['build', '-q', folder], builder({ messages: [{ aux: { ID } }] }));
    assert.deepEqual([exitCode, io.out()], [1, '']);
    assert.match(io.err(), /the daemon is not mydockd/);
  });

  test('other reasons for a refusal stay as they are', async () => {
    const message = 'invalid reference format';
    const { io } = await mydock(['build', folder], (_, response) => sendJson(response, { message }, 400));
    assert.match(io.err(), /invalid reference format/);
    assert.doesNotMatch(io.err(), /mydockd/);
  });
});
