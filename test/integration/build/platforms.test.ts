/** Builds for several platforms: one index over an image each, kept, found and pushed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { busyboxTar } from '../../fixtures/catalog.ts';
import {
  HOST_PLATFORM,
  makeImage,
  makeIndex,
  makeLayer,
  OTHER_PLATFORM,
  type Platform,
} from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { type Built, classicBuild, type Files } from './classic-build.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
/** For both platforms. */
let base: string;

const name = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === undefined || variant === 'v8' ? [] : [variant])].join('/');
const HOST = name(HOST_PLATFORM);
const OTHER = name(OTHER_PLATFORM);
const PLATFORMS = `platform=${encodeURIComponent(`${HOST},${OTHER}`)}`;

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
  const host = makeImage({ layers: [makeLayer(await busyboxTar(), 'gzip')], platform: HOST_PLATFORM });
  const foreign = makeTar([
    { path: 'etc/', type: 'directory' },
    { path: 'etc/foreign', data: 'other' },
  ]);
  const other = makeImage({ layers: [makeLayer(foreign, 'gzip')], platform: OTHER_PLATFORM });
  base = await registry.push('both', 'latest', makeIndex([host, other], 'oci'));
});
after(async () => await close());

const build = (files: Files, query: string): Promise<Built> => classicBuild(daemon, files, query);

interface Descriptor {
  digest: string;
  mediaType: string;
  platform?: Platform;
  annotations?: Record<string, string>;
}

interface Manifest {
  mediaType: string;
  manifests: Descriptor[];
  layers: Descriptor[];
  config: Descriptor;
  annotations?: Record<string, string>;
}

async function inRegistry(
  repository: string,
  reference: string,
): Promise<{ manifest: Manifest; digest: string }> {
  const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
  const response = await fetch(`http://${registry.host}/v2/${repository}/manifests/${reference}`, {
    headers: { accept },
  });
  assert.equal(response.status, 200, `${repository}:${reference}`);
  return {
    manifest: (await response.json()) as Manifest,
    digest: response.headers.get('docker-content-digest') ?? '',
  };
}

const of = async (image: string, platform: Platform): Promise<{ Id: string; Architecture: string }> => {
  const query = `platform=${encodeURIComponent(JSON.stringify(platform))}`;
  return (await daemon.api('GET', `/images/${encodeURIComponent(image)}/json?${query}`)).json();
};

test('images for two platforms: the tag runs here, the other is found by platform and digest, prune leaves it', async () => {
  const tag = `${registry.host}/app:1`;
  const files = {
    Dockerfile: `FROM ${base} AS base\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY a.txt /a\nFROM scratch AS own\nCOPY a.txt /own\nFROM base\nCOPY --from=own /own /own\nCOPY --from=${base} /etc/ /copied/\n`,
    'a.txt': 'words\n',
  };
  const built = await build(files, `${PLATFORMS}&t=${tag}`);
  assert.equal(built.error, '', built.output);
  assert.equal(await daemon.ok('run', '--rm', '--network', 'none', tag, 'cat', '/a', '/own'), 'words\nwords');
  const here = await of(tag, HOST_PLATFORM);
  const other = await of(tag, OTHER_PLATFORM);
  assert.deepEqual([here.Id, here.Architecture], [built.id, HOST_PLATFORM.architecture]);
  assert.equal(other.Architecture, OTHER_PLATFORM.architecture);
  assert.match(
    await daemon.inspect(other.Id, '{{json .Config.Env}}'),
    new RegExp(`"ARCH=${OTHER_PLATFORM.architecture}"`),
  );
  // What the build begins with is still what this machine runs.
  assert.equal(await daemon.inspect(base, '{{.Architecture}}'), HOST_PLATFORM.architecture);
  await daemon.ok('image', 'prune', '-f');
  assert.equal((await of(tag, OTHER_PLATFORM)).Id, other.Id);

  await daemon.ok('push', tag);
  const { manifest: index, digest } = await inRegistry('app', '1');
  assert.deepEqual(
    index.manifests.map(({ platform }) => platform?.architecture),
    [HOST_PLATFORM.architecture, OTHER_PLATFORM.architecture],
  );
  for (const [i, descriptor] of index.manifests.entries()) {
    const { manifest } = await inRegistry('app', descriptor.digest);
    assert.equal(manifest.config.digest, [here.Id, other.Id][i]);
    for (const layer of manifest.layers) {
      const blob = await fetch(`http://${registry.host}/v2/app/blobs/${layer.digest}`, { method: 'HEAD' });
      assert.equal(blob.status, 200);
    }
  }
  const [, otherManifest] = index.manifests;
  assert.equal(
    await daemon.inspect(`${tag}@${otherManifest?.digest}`.replace(':1@', '@'), '{{.Id}}'),
    other.Id,
  );

  // The same bytes again, from nothing.
  await daemon.ok('rmi', '-f', tag);
  await daemon.ok('image', 'prune', '-f');
  assert.equal((await daemon.api('GET', `/images/${other.Id}/json`)).status, 404);
  assert.equal((await daemon.api('POST', '/build/prune?all=1')).status, 200);
  const outputs = encodeURIComponent('[{"Type":"image","Attrs":{"push":"true"}}]');
  const again = await build(files, `${PLATFORMS}&t=${registry.host}/app:2&outputs=${outputs}`);
  assert.equal(again.error, '', again.output);
  assert.equal(again.id, built.id);
  assert.equal((await inRegistry('app', '2')).digest, digest);
});

test('a build begins with what an earlier one made for the platform', async () => {
  const first = await build(
    { Dockerfile: 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY a /\n', a: 'a' },
    `${PLATFORMS}&t=made`,
  );
  assert.equal(first.error, '', first.output);
  const second = await build(
    { Dockerfile: 'FROM made\nCOPY b /\n', b: 'b' },
    `platform=${encodeURIComponent(OTHER)}&t=next`,
  );
  assert.equal(second.error, '', second.output);
  assert.equal(await daemon.inspect('next', '{{.Config.Labels.arch}}'), OTHER_PLATFORM.architecture);
  assert.equal(await daemon.inspect('made', '{{.Config.Labels.arch}}'), HOST_PLATFORM.architecture);
});

test('annotations of manifests, of one platform, and of the index', async () => {
  const files = { Dockerfile: 'FROM scratch\nCOPY a /\n', a: 'a' };
  const annotations = encodeURIComponent(
    JSON.stringify({
      plain: '1',
      'index:of': 'index',
      [`manifest[${OTHER}]:only`]: 'there',
      'manifest-descriptor:d': 'x',
    }),
  );
  const query = `t=${registry.host}/noted:1&annotations=${annotations}`;
  const single = await build(files, query);
  assert.match(single.error, /index annotations not supported for single platform export/);
  const built = await build(files, `${query}&${PLATFORMS}`);
  assert.equal(built.error, '', built.output);
  await daemon.ok('push', `${registry.host}/noted:1`);
  const { manifest: index } = await inRegistry('noted', '1');
  assert.deepEqual(index.annotations, { of: 'index' });
  const found = [];
  for (const { digest, annotations: described } of index.manifests) {
    assert.deepEqual(described, { d: 'x' });
    found.push((await inRegistry('noted', digest)).manifest.annotations);
  }
  assert.deepEqual(found, [{ plain: '1' }, { plain: '1', only: 'there' }]);
  const wrong = await build(files, `annotations=${encodeURIComponent('{"nowhere:a":"b"}')}`);
  assert.match(wrong.error, /unknown annotation type .*nowhere/);
});
