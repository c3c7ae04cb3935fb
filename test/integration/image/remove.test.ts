/** `rmi`: the order of the answer, digests, children, platforms, and what containers and force change. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

async function pulled(name: string): Promise<string> {
  const layer = makeLayer(makeTar([{ path: 'content', data: name }]), 'gzip');
  const reference = await registry.push(name, 'v1', makeImage({ layers: [await busyboxLayer(), layer] }));
  await daemon.ok('pull', '-q', reference);
  return reference;
}

type Item = { Untagged?: string; Deleted?: string };

test('tag, then digest, then image, then layers that nobody else has', async () => {
  const reference = await pulled('ordered');
  const digest = await daemon.inspect(reference, '{{index .RepoDigests 0}}');
  const id = await daemon.inspect(reference, '{{.Id}}');
  const items = (await daemon.api('DELETE', `/images/${reference}`)).json<Item[]>();
  assert.deepEqual(items.slice(0, 3), [{ Untagged: reference }, { Untagged: digest }, { Deleted: id }]);
  assert.equal(items.length, 4, 'the layer of busybox stays');
  assert.match(items[3]?.Deleted ?? '', /^sha256:/);
});

test('by digest: the tag keeps the image', async () => {
  const reference = await pulled('digested');
  const digest = await daemon.inspect(reference, '{{index .RepoDigests 0}}');
  assert.equal(await daemon.ok('rmi', digest), `Untagged: ${digest}`);
  assert.equal(await daemon.inspect(reference, '{{len .RepoDigests}}'), '0');
  await daemon.ok('rmi', reference);
});

test('by ID: all tags of one repository only by force; a running container is never overruled', async () => {
  const reference = await pulled('several');
  const id = await daemon.inspect(reference, '{{.Id}}');
  await daemon.ok('tag', reference, reference.replace(':v1', ':v2'));
  await daemon.fails(1, /\(must be forced\) - image is referenced in multiple repositories/, 'rmi', id);
  await daemon.ok('run', '-d', '--name', 'user', '--stop-signal', 'KILL', reference, 'sleep', '1000');
  await daemon.fails(1, /\(cannot be forced\) - image is being used by running container/, 'rmi', '-f', id);
  await daemon.ok('rm', '-f', 'user');
  assert.match(await daemon.ok('rmi', '-f', id), /^Untagged: .*:v1\nUntagged: .*:v2\n/);
});

test('an image with children is refused by ID, and its tag goes alone', async () => {
  await daemon.ok('run', '--name', 'one', 'busybox', 'touch', '/one');
  const parent = await daemon.ok('commit', 'one', 'parent');
  await daemon.ok('run', '--name', 'two', 'parent', 'touch', '/two');
  await daemon.ok('commit', 'two', 'child');
  await daemon.removeContainers();
  await daemon.fails(1, /\(cannot be forced\) - image has dependent child images/, 'rmi', '-f', parent);
  assert.equal(await daemon.ok('rmi', 'parent'), 'Untagged: parent:latest');
  const output = await daemon.ok('rmi', 'child');
  assert.match(output, new RegExp(`^Deleted: ${parent}$`, 'm'), 'the parent without a name goes along');
});

test('platforms: its own is all of an image, another is not found', async () => {
  const reference = await pulled('platformed');
  const architecture = await daemon.inspect(reference, '{{.Architecture}}');
  await daemon.fails(
    1,
    /does not match the specified platform/,
    'rmi',
    '--platform',
    'linux/s390x',
    reference,
  );
  const both = await daemon.api('DELETE', `/images/${reference}?platforms={}&platforms={}`);
  assert.deepEqual([both.status, both.json()], [400, { message: 'multiple platforms are not supported' }]);
  await daemon.ok('rmi', '--platform', `linux/${architecture}`, reference);
  assert.equal(await daemon.ok('images', '-q', reference), '');
});
