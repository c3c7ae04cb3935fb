/** `images`, `tag`, `rmi`: the table, references, what is shared, what is refused, and the disk space that comes back. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
let host = '';
let pushed: (name: string, content: string) => Promise<string>;
before(async () => {
  const { daemon: started, registry, close: closing } = await daemonWithRegistry();
  daemon = started;
  close = closing;
  host = registry.host;
  pushed = async (name, content) => {
    const layer = makeLayer(makeTar([{ path: 'content', data: content }]), 'gzip');
    const image = makeImage({ layers: [await busyboxLayer(), layer], config: { Cmd: ['cat', '/content'] } });
    const reference = await registry.push(name, 'latest', image);
    await daemon.ok('pull', '-q', reference);
    return reference;
  };
});
after(async () => await close());

test('the table, -q, --no-trunc, --format', async () => {
  const { id } = await busyboxImage();
  const short = id.slice('sha256:'.length, 'sha256:'.length + 12);
  const [head = '', ...rows] = (await daemon.ok('images')).split('\n');
  assert.match(head, /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$/);
  const row = new RegExp(`^busybox +latest +${short} +\\d+ years ago +2\\.\\d+MB$`);
  assert.ok(
    rows.some((line) => row.test(line)),
    rows.join('\n'),
  );
  assert.equal(await daemon.ok('images', '-q', 'busybox'), short);
  assert.equal(await daemon.ok('images', '-q', '--no-trunc', 'busybox'), id);
  assert.equal(
    await daemon.ok('images', '--format', '{{.Repository}}:{{.Tag}}', 'busybox'),
    'busybox:latest',
  );
});

test('--filter', async () => {
  assert.match(
    await daemon.ok('images', '--filter', 'label=fixture=busybox', '--format', '{{.Repository}}'),
    /^busybox$/m,
  );
  assert.equal(await daemon.ok('images', '-q', '--filter', 'label=fixture=other'), '');
  assert.match(
    await daemon.ok('images', '--filter', 'reference=busy*', '--format', '{{.Repository}}'),
    /^busybox$/m,
  );
  assert.equal(await daemon.ok('images', '-q', '--filter', 'dangling=true'), '');
});

test('tag adds a name; rmi takes names away one by one, and the image with the last one', async () => {
  const reference = await pushed('tagged', 'tagged\n');
  await daemon.ok('tag', reference, 'mine');
  await daemon.ok('tag', 'mine', 'team/other:v2');
  assert.equal(await daemon.ok('run', '--rm', 'team/other:v2'), 'tagged');
  assert.equal(await daemon.ok('rmi', 'mine'), 'Untagged: mine:latest');
  await daemon.ok('rmi', 'team/other:v2');
  const output = await daemon.ok('rmi', reference);
  assert.match(output, /^Untagged: .*tagged:latest$/m);
  assert.match(output, /^Deleted: sha256:[0-9a-f]{64}$/m);
  assert.equal(await daemon.ok('images', '-q', reference), '');
  await daemon.fails(1, /No such image: mine/, 'rmi', 'mine');
  await daemon.fails(1, /No such image|not found/i, 'tag', 'mine', 'again');
  await daemon.fails(1, /invalid reference format|is not a valid repository\/tag/, 'tag', 'busybox', 'UPPER');
});

test('a tag that is given to another image leaves the first one without', async () => {
  const one = await pushed('one', '1\n');
  const two = await pushed('two', '2\n');
  await daemon.ok('tag', one, 'moving');
  await daemon.ok('tag', two, 'moving');
  assert.equal(await daemon.ok('run', '--rm', 'moving'), '2');
  await daemon.ok('rmi', 'moving', one, two);
});

test('rmi by ID; refused while a container needs the image, or several names have it', async () => {
  const reference = await pushed('held', 'held\n');
  const id = await daemon.ok('images', '-q', reference);
  await daemon.ok('create', '--name', 'holder', reference);
  await daemon.fails(
    1,
    /unable to (remove repository reference|delete) .*(container \w+ is using|is being used by stopped container)/,
    'rmi',
    reference,
  );
  await daemon.ok('rm', 'holder');
  await daemon.ok('tag', reference, 'second');
  await daemon.fails(1, /image is referenced in multiple repositories/, 'rmi', id);
  await daemon.ok('rmi', '-f', id);
  assert.equal(await daemon.ok('images', '-q', reference), '');
});

test('layers that another image has stay, and the container of a removed name runs on', async () => {
  const kept = await pushed('kept', 'kept\n');
  const dropped = await pushed('dropped', 'dropped\n');
  await daemon.ok('run', '-d', '--name', 'user', dropped, 'sleep', '1000');
  await daemon.ok('rmi', '-f', dropped);
  assert.equal(await daemon.ok('exec', 'user', 'cat', '/content'), 'dropped');
  await daemon.ok('rm', '-f', 'user');
  assert.equal(await daemon.ok('run', '--rm', kept), 'kept');
  await daemon.ok('rmi', kept);
  assert.equal(await daemon.ok('run', '--rm', 'busybox', 'echo', 'fine'), 'fine');
});

test('inspect of an image', async () => {
  const [object] = JSON.parse(await daemon.ok('inspect', '--type', 'image', 'busybox')) as Record<
    string,
    unknown
  >[];
  assert.deepEqual(object?.['RepoTags'], [`${host}/busybox:latest`, 'busybox:latest']);
  assert.equal(object?.['Os'], 'linux');
  assert.deepEqual((object?.['RootFS'] as { Layers: string[] } | undefined)?.Layers, [
    (await busyboxLayer()).diffId,
  ]);
  await daemon.fails(1, /No such image: nothing/, 'inspect', '--type', 'image', 'nothing');
});
