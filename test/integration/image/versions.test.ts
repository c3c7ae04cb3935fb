/** Images as clients of every API version read them: which fields come and go between 1.24 and 1.51. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithRegistry());
});
after(async () => await close());

const VERSIONS = Array.from({ length: 28 }, (_, index) => 24 + index);

test('lists', async () => {
  await daemon.ok('create', '--name', 'user', 'busybox', 'true');
  for (const minor of VERSIONS) {
    const path = `/v1.${minor}/images/json?manifests=1&shared-size=1`;
    const [image = {}] = (await daemon.api('GET', path)).json<Record<string, unknown>[]>();
    const seen = {
      VirtualSize: 'VirtualSize' in image,
      SharedSize: image['SharedSize'] !== -1,
      Manifests: 'Manifests' in image,
      Descriptor: 'Descriptor' in image,
      Containers: image['Containers'],
    };
    const expected = {
      VirtualSize: minor < 44,
      SharedSize: minor >= 42,
      Manifests: minor >= 47,
      Descriptor: minor >= 48,
      Containers: minor >= 51 ? 1 : -1,
    };
    assert.deepEqual(seen, expected, `1.${minor}`);
  }
  await daemon.ok('rm', 'user');
});

test('inspect', async () => {
  for (const minor of VERSIONS) {
    const image = (await daemon.api('GET', `/v1.${minor}/images/busybox/json?manifests=1`)).json<
      Record<string, unknown>
    >();
    const seen = {
      VirtualSize: 'VirtualSize' in image,
      ContainerConfig: 'ContainerConfig' in image,
      Descriptor: 'Descriptor' in image,
      Manifests: 'Manifests' in image,
      Tty: 'Tty' in (image['Config'] as object),
    };
    const expected = {
      VirtualSize: minor < 44,
      ContainerConfig: minor < 45,
      Descriptor: minor >= 48,
      Manifests: minor >= 48,
      Tty: minor < 50,
    };
    assert.deepEqual(seen, expected, `1.${minor}`);
  }
});

test('parameters that a version does not have are not read', async () => {
  const elsewhere = encodeURIComponent('{"os":"linux","architecture":"s390x"}');
  const status = async (path: string): Promise<number> => (await daemon.api('GET', path)).status;
  assert.equal(await status(`/v1.48/images/busybox/json?platform=${elsewhere}`), 200);
  assert.equal(await status(`/v1.49/images/busybox/json?platform=${elsewhere}`), 404);
  assert.equal(await status(`/v1.47/images/busybox/history?platform=${elsewhere}`), 200);
  assert.equal(await status(`/v1.48/images/busybox/history?platform=${elsewhere}`), 404);
  assert.equal(await status(`/v1.51/images/busybox/json?manifests=1&platform=${elsewhere}`), 400);
  const filtered = (await daemon.api('GET', '/v1.40/images/json?filter=nothing')).json<unknown[]>();
  assert.equal(filtered.length, 0);
});

test('system df: what images share, and what could go', async () => {
  await daemon.ok('run', '--name', 'work', 'busybox', 'sh', '-c', 'head -c 3000000 /dev/urandom > /three');
  await daemon.ok('commit', 'work', 'three');
  await daemon.ok('rm', 'work');
  const { Images: images, LayersSize: bytes } = (await daemon.api('GET', '/system/df')).json<{
    Images: { RepoTags: string[]; SharedSize: number; Size: number }[];
    LayersSize: number;
  }>();
  const base = images.find(({ RepoTags }) => RepoTags.includes('busybox:latest'));
  const top = images.find(({ RepoTags }) => RepoTags.includes('three:latest'));
  assert.ok(base !== undefined && top !== undefined);
  assert.equal(base.SharedSize, base.Size);
  assert.deepEqual([top.SharedSize, top.Size], [base.Size, base.Size + 3_000_000]);
  assert.ok(bytes >= top.Size, `${bytes} of layers, ${top.Size} of the image`);
  const [, active, , reclaimable] =
    /^Images +(\d+ +\d+) +(\S+) +(.*)$/m.exec(await daemon.ok('system', 'df')) ?? [];
  assert.match(active ?? '', /^2 +0$/);
  assert.match(reclaimable ?? '', /\(100%\)$/);
  await daemon.ok('rmi', 'three');
});
