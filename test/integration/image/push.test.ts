/** `push`: exact bytes, what is not sent twice, mounts, broken connections, credentials, indexes, images made here. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { type Image, makeImage, makeIndex, makeLayer, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { REGISTRY_PASSWORD, REGISTRY_USER, type Registry, startRegistry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { startUploadGate, type UploadGate } from '../../fixtures/upload-gate.ts';
import { eventually } from '../command.ts';
import { dockerPrograms, TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let first: Registry;
let second: Registry;
let gate: UploadGate;
before(async () => {
  first = await startRegistry();
  second = await startRegistry();
  gate = await startUploadGate(second.host);
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await gate.stop();
    await Promise.all([first.stop(), second.stop()]);
  }
});

async function oneFile(name: string, data: string | Buffer = name): Promise<Image> {
  const layer = makeLayer(makeTar([{ path: 'file', data }]), 'gzip');
  return makeImage({ layers: [await busyboxLayer(), layer], config: { Labels: { name } } });
}

/** What a registry has under a tag or digest. */
async function manifestOf(registry: { host: string }, repository: string, name: string): Promise<string> {
  const accept = ['manifest.v2', 'manifest.list.v2'].map(
    (type) => `application/vnd.docker.distribution.${type}+json`,
  );
  const oci = ['manifest', 'index'].map((type) => `application/vnd.oci.image.${type}.v1+json`);
  const response = await fetch(`http://${registry.host}/v2/${repository}/manifests/${name}`, {
    headers: { accept: [...accept, ...oci].join(', ') },
  });
  await response.arrayBuffer();
  return response.headers.get('docker-content-digest') ?? `status ${response.status}`;
}

const retag = async (reference: string, host: string, name: string): Promise<string> => {
  await daemon.ok('tag', reference, `${host}/${name}`);
  return `${host}/${name}`;
};

test('a round trip keeps every digest; the second push sends nothing', async () => {
  const image = await oneFile('round trip');
  const source = await first.push('round', 'v1', image);
  await daemon.ok('pull', '-q', source);
  const target = await retag(source, gate.host, 'trip:v1');
  const output = await daemon.ok('push', target);
  assert.match(output, new RegExp(`^The push refers to repository \\[${gate.host}/trip\\]\n`));
  assert.match(output, /^[0-9a-f]{12}: Preparing$/m);
  assert.match(output, /^[0-9a-f]{12}: Pushed$/m);
  const last = `v1: digest: ${image.manifest.digest} size: ${image.manifest.data.length}`;
  assert.equal(output.split('\n').at(-1), last);
  assert.equal(await manifestOf(second, 'trip', 'v1'), image.manifest.digest);
  const repoDigests = await daemon.inspect(target, '{{json .RepoDigests}}');
  assert.ok(repoDigests.includes(`${gate.host}/trip@${image.manifest.digest}`), repoDigests);
  const requests = gate.requests.length;
  assert.match(await daemon.ok('push', target), /Layer already exists/);
  assert.equal(gate.sentBytes(requests), 0);
  // And back again.
  await daemon.ok('rmi', source, target);
  await daemon.ok('pull', '-q', target);
  assert.equal(await daemon.inspect(target, '{{.Id}}'), image.id);
  await daemon.ok('rmi', target);
});

test('another repository of the registry gives its layers', async () => {
  const source = await first.push('mounted', 'v1', await oneFile('mounted'));
  await daemon.ok('pull', '-q', source);
  const base = await retag(source, gate.host, 'team/base:v1');
  await daemon.ok('push', '-q', base);
  const copy = await retag(source, gate.host, 'team/copy:v1');
  const requests = gate.requests.length;
  const output = await daemon.ok('push', copy);
  assert.match(output, /: Mounted from team\/base$/m);
  assert.doesNotMatch(output, /: Pushed$/m);
  assert.equal(gate.sentBytes(requests), 0);
  assert.ok(gate.requests.slice(requests).some(({ query }) => query.includes('from=team%2Fbase')));
  await daemon.ok('rmi', source, base, copy);
});

test('-q prints the name; all tags; tags that are not there', async () => {
  const image = await oneFile('tags');
  const source = await first.push('tags', 'v1', image);
  await daemon.ok('pull', '-q', source);
  const one = await retag(source, second.host, 'tags:one');
  assert.equal(await daemon.ok('push', '-q', one), one);
  const two = await retag(source, second.host, 'tags:two');
  const output = await daemon.ok('push', '-a', `${second.host}/tags`);
  for (const tag of ['one', 'two'])
    assert.match(output, new RegExp(`^${tag}: digest: ${image.manifest.digest} `, 'm'));
  await daemon.fails(1, /tag can't be used with --all-tags/, 'push', '-a', two);
  await daemon.fails(1, /tag does not exist: .*\/tags:three/, 'push', `${second.host}/tags:three`);
  await daemon.fails(
    1,
    /An image does not exist locally with the tag: .*\/nothing$/m,
    'push',
    `${second.host}/nothing`,
  );
  await daemon.ok('rmi', source, one, two);
});

test('an image that was built here: pushed, removed, pulled, and it is the same', async () => {
  const base = await first.push('base', 'v1', await busyboxImage());
  await daemon.ok('pull', '-q', base);
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${base}\nCOPY data /data\nRUN echo built > /built\n`);
  writeFileSync(join(folder, 'data'), randomBytes(3_000_000));
  const target = `${second.host}/built:v1`;
  await daemon.ok('build', '-q', '-t', target, folder);
  const id = await daemon.inspect(target, '{{.Id}}');
  const output = await daemon.ok('push', target);
  const digest = /digest: (sha256:\w+)/.exec(output)?.[1];
  assert.equal(await manifestOf(second, 'built', 'v1'), digest);
  const again = await retag(target, second.host, 'built-again:v1');
  assert.match(await daemon.ok('push', again), new RegExp(`digest: ${digest} `));
  await daemon.ok('rmi', target, again);
  await daemon.ok('pull', '-q', target);
  assert.equal(await daemon.inspect(target, '{{.Id}}'), id);
  assert.equal(
    await daemon.ok('run', '--rm', target, 'sh', '-c', 'cat /built; wc -c /data'),
    'built\n3000000 /data',
  );
  await daemon.ok('rmi', target);
});

test('an index goes with its other platforms where they can be had', { skip: TESTING_DOCKER }, async () => {
  const here = await oneFile('index');
  const layer = makeLayer(makeTar([{ path: 'other', data: 'other' }]), 'gzip');
  const index = makeIndex([makeImage({ layers: [layer], platform: OTHER_PLATFORM }), here], 'oci');
  const source = await first.push('index', 'v1', index);
  await daemon.ok('pull', '-q', source);
  // In its own registry everything is there to be taken over.
  const copy = await retag(source, first.host, 'index-copy:v1');
  assert.match(await daemon.ok('push', copy), new RegExp(`digest: ${index.manifest.digest} `));
  assert.equal(await manifestOf(first, 'index-copy', 'v1'), index.manifest.digest);
  // Another registry gets this machine's image alone, until the other one is here as well.
  const other = await retag(source, second.host, 'index:v1');
  const alone = await daemon.mydock(['push', other]);
  assert.equal(alone.code, 0);
  assert.match(alone.stdout, new RegExp(`digest: ${here.manifest.digest} `));
  assert.match(alone.stderr, /Only the image for linux\/\w+ was pushed/);
  const { os, architecture, variant } = OTHER_PLATFORM;
  const platform = [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
  await daemon.ok('pull', '-q', '--platform', platform, source);
  assert.match(await daemon.ok('push', other), new RegExp(`digest: ${index.manifest.digest} `));
  assert.equal(await manifestOf(second, 'index', 'v1'), index.manifest.digest);
  await daemon.fails(
    1,
    /does not provide the specified platform \(linux\/s390x\)/,
    'push',
    '--platform',
    'linux/s390x',
    other,
  );
  await daemon.ok('rmi', source, copy, other);
});

test('broken connections do not end a push', async () => {
  const image = await oneFile('broken', randomBytes(6_000_000));
  const source = await first.push('broken', 'v1', image);
  await daemon.ok('pull', '-q', source);
  const target = await retag(source, gate.host, 'broken:v1');
  Object.assign(gate.cut, { afterBytes: 2_000_000, times: 2 });
  assert.match(await daemon.ok('push', target), /Retrying in 1 second/);
  assert.equal(gate.cut.times, 0);
  assert.equal(await manifestOf(second, 'broken', 'v1'), image.manifest.digest);
  await daemon.ok('rmi', source, target);
});

test('a client that goes away ends the push; a killed daemon leaves nothing half done', async () => {
  const folder = join(daemon.folder, 'large');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY data /data\n');
  writeFileSync(join(folder, 'data'), randomBytes(12_000_000));
  const target = `${gate.host}/large:v1`;
  await daemon.ok('build', '-q', '-t', target, folder);
  gate.slowMs = 100;
  const leftovers = (): string[] =>
    readdirSync(join(daemon.dataRoot, 'content/blobs/sha256')).filter((name) => name.startsWith('.'));
  for (const end of ['client', 'daemon'] as const) {
    const from = gate.requests.length;
    const live = daemon.live(['push', target]);
    await eventually('a part is sent', () => gate.sentBytes(from) > 1_000_000);
    if (end === 'client') live.child.kill('SIGINT');
    else await daemon.stop('SIGKILL');
    assert.notEqual((await live.ended).code, 0);
    if (end === 'daemon') await daemon.launch();
    const sent = await eventually('nothing more is sent', async () => {
      const before = gate.sentBytes(from);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return before === gate.sentBytes(from) && before;
    });
    assert.ok(sent < 12_000_000, `${sent} bytes were sent`);
    if (TESTING_DOCKER) continue;
    assert.deepEqual(leftovers(), []);
    await daemon.ok('system', 'check');
  }
  gate.slowMs = 0;
  await daemon.ok('push', '-q', target);
  await daemon.ok('rmi', target);
});

test('credentials: none, wrong, right; a registry that is not there', async () => {
  const basic = await startRegistry({ password: true });
  try {
    const source = await first.push('secret', 'v1', await oneFile('secret'));
    await daemon.ok('pull', '-q', source);
    const target = await retag(source, basic.host, 'secret:v1');
    const configuration = join(daemon.home, '.docker');
    const logIn = (password: string): void => {
      mkdirSync(configuration, { recursive: true });
      const auth = Buffer.from(`${REGISTRY_USER}:${password}`).toString('base64');
      writeFileSync(
        join(configuration, 'config.json'),
        JSON.stringify({ auths: { [basic.host]: { auth } } }),
      );
    };
    await daemon.fails(1, /no basic auth credentials/, 'push', target);
    logIn('wrong');
    await daemon.fails(1, /unauthorized: authentication required/, 'push', target);
    logIn(REGISTRY_PASSWORD);
    assert.match(await daemon.ok('push', target), /: Pushed$/m);
    rmSync(configuration, { recursive: true });
    await basic.stop();
    await daemon.fails(1, /connection refused/, 'push', target);
    await daemon.ok('rmi', source, target);
  } finally {
    await basic.stop();
  }
});

test('the API: status before the first message, errors after it, events', async () => {
  const source = await first.push('api', 'v1', await oneFile('api'));
  await daemon.ok('pull', '-q', source);
  assert.equal((await daemon.api('POST', '/images/UPPER/push?tag=x')).status, 400);
  const missing = await daemon.api('POST', '/images/missing/push?tag=x');
  assert.equal(missing.status, 200);
  assert.match(
    missing.text,
    /"errorDetail":\{"message":"An image does not exist locally with the tag: missing"\}/,
  );
  const target = await retag(source, second.host, 'api:v1');
  const since = String(Math.floor(Date.now() / 1000) - 1);
  const pushed = await daemon.api('POST', `/images/${second.host}/api/push?tag=v1`);
  const messages = pushed.text.trim().split('\r\n');
  assert.match(messages.at(-1) ?? '', /"aux":\{"Tag":"v1","Digest":"sha256:\w+","Size":\d+\}/);
  const until = String(Math.floor(Date.now() / 1000) + 1);
  const events = await daemon.ok(
    'events',
    '--since',
    since,
    '--until',
    until,
    '--filter',
    'event=push',
    '--format',
    '{{json .}}',
  );
  assert.match(events, new RegExp(`"Action":"push".*"ID":"${target}"`));
  await daemon.ok('rmi', source, target);
});

for (const program of dockerPrograms()) {
  test(`${program} push`, { skip: TESTING_DOCKER }, async () => {
    const source = await first.push('docker', 'v1', await oneFile(program, randomBytes(2_000_000)));
    await daemon.ok('pull', '-q', source);
    const target = await retag(source, second.host, 'docker:v1');
    const run = async (...args: string[]): Promise<string> => {
      const result = await daemon.docker(program, args, { tty: true, size: [24, 120] });
      assert.equal(result.code, 0, result.stdout + result.stderr);
      return result.stdout;
    };
    const output = await run('push', target);
    assert.match(output, /The push refers to repository/);
    assert.match(output, /Pushing \[[=>]/);
    assert.match(output, /: Pushed/);
    assert.match(output, /v1: digest: sha256:\w+ size: \d+/);
    await daemon.ok('rmi', source, target);
  });
}
