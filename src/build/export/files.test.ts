/** Outputs as files: what the client's session gets, over real mounts; read back as others would. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { type Digest, digestOf } from '../../image/digest.ts';
import { parseImageConfig } from '../../image/image-config.ts';
import { ContentStore } from '../../image/store/content-store.ts';
import type { BuildIo } from '../builder.ts';
import { Progress } from '../progress.ts';
import type { BuiltImage, SolvedBuild } from '../solve/solved.ts';
import type { OutputSpec } from '../solve-request.ts';
import { FakeSession, SourcesFixture } from '../source/testing/sources-fixture.ts';
import { fileExport } from './files.ts';

const fixture = new SourcesFixture();
let count = 0;
let solved: SolvedBuild;

class TakingSession extends FakeSession {
  readonly file = fixture.path(`file-${count++}`);
  readonly folder = fixture.path(`taken-${count++}`);
  told: Readonly<Record<string, string>> = {};

  override sendFile = (async (_: number, content: AsyncIterable<Uint8Array>): Promise<void> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of content) pieces.push(Buffer.from(piece));
    writeFileSync(this.file, Buffer.concat(pieces));
  }) as never;

  override sendFolder = (async (_: number, directory: string): Promise<void> => {
    cpSync(directory, this.folder, { recursive: true });
  }) as never;
}

async function image(architecture: string): Promise<BuiltImage> {
  const layers = [];
  for (const content of ['one', `two of ${architecture}`]) {
    const layer = await fixture.snapshotter.create(async (writer) => {
      await writer.add({ name: 'etc', type: 'directory', mode: 0o755, mtimeSec: 5 });
      await writer.add(
        { name: `etc/${content.slice(0, 3)}`, type: 'file', mtimeSec: 5 },
        Buffer.from(content),
      );
    });
    layers.push({ diffId: layer.diffId, sizeBytes: layer.sizeBytes });
  }
  const diffIds = layers.map(({ diffId }) => diffId);
  const configBytes = Buffer.from(
    JSON.stringify({ architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
  );
  const platform = { os: 'linux', architecture };
  return { platform, config: parseImageConfig(configBytes), configBytes, layers };
}

before(async () => {
  const images = [await image('amd64'), await image('arm64')];
  solved = {
    images,
    epochSeconds: 60,
    materials: [],
    trail: [],
    cacheMounts: [],
    cacheTo: [],
    release: async () => undefined,
  };
});
after(() => fixture.close());

type FilesOutput = Extract<OutputSpec, { type: 'local' | 'tar' | 'oci' | 'docker' }>;

async function exported(
  type: FilesOutput['type'],
  attributes: Record<string, string> = {},
  platforms = 1,
  session = new TakingSession(),
): Promise<TakingSession> {
  const { snapshotter, sources } = fixture;
  const content = fixture.path(`content-${count++}`);
  const exporter = fileExport({
    snapshotter,
    work: sources.work,
    imageStore: { layerBlobs: () => [] },
    contentStore: new ContentStore(content),
  });
  const progress = new Progress(() => undefined, 'test');
  const io: BuildIo & { exporter: number } = {
    id: 'test',
    session,
    progress,
    signal: new AbortController().signal,
    exporter: 0,
  };
  const output: FilesOutput = { type, names: ['app:1'], attributes };
  session.stores = { export: new Map() };
  session.told = await exporter(
    { ...solved, images: solved.images.slice(0, platforms) },
    output,
    io,
    progress.vertex('exporting'),
  );
  assert.deepEqual(fixture.trees(), [], 'nothing is left on the way');
  return session;
}

function unpacked(file: string): string {
  const folder = fixture.path(`unpacked-${count++}`);
  mkdirSync(folder);
  execFileSync('tar', ['-xf', file, '-C', folder]);
  return folder;
}

test('a client that takes no file ends the making of it', async () => {
  const session = new TakingSession();
  let tar: Readable | undefined;
  session.sendFile = (async (_: number, content: Readable): Promise<void> => {
    tar = content;
    throw new Error('the client takes no files');
  }) as never;
  await assert.rejects(exported('tar', {}, 1, session), /the client takes no files/);
  assert.equal(tar?.destroyed, true);
  assert.deepEqual(fixture.trees(), []);
});

test('the files of an image, into a folder; of several, each into its own', async () => {
  const { folder } = await exported('local');
  assert.equal(readFileSync(join(folder, 'etc/two'), 'utf8'), 'two of amd64');
  const split = await exported('local', {}, 2);
  assert.deepEqual(readdirSync(split.folder).sort(), ['linux_amd64', 'linux_arm64']);
  assert.equal(readFileSync(join(split.folder, 'linux_arm64/etc/two'), 'utf8'), 'two of arm64');
  const one = await exported('local', { 'platform-split': 'true' });
  assert.deepEqual(readdirSync(one.folder), ['linux_amd64']);
  await assert.rejects(exported('local', { 'platform-split': 'false' }, 2), /cannot share one folder/);
  await assert.rejects(
    exported('local', { 'platform-split': 'maybe' }),
    /non-bool value for platform-split: maybe/,
  );
});

test('the files of an image as a tar, the same each time', async () => {
  const first = readFileSync((await exported('tar')).file);
  assert.deepEqual(readFileSync((await exported('tar')).file), first);
  const listing = execFileSync('tar', ['-tf', '-'], { input: first, encoding: 'utf8' });
  assert.deepEqual(listing.trim().split('\n'), ['etc/', 'etc/one', 'etc/two']);
  const several = execFileSync('tar', ['-tf', (await exported('tar', {}, 2)).file], { encoding: 'utf8' });
  assert.match(several, /linux_arm64\/etc\/two/);
});

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { architecture: string };
  annotations?: Record<string, string>;
}

interface Document {
  mediaType: string;
  config: Descriptor;
  layers: Descriptor[];
  manifests: Descriptor[];
  annotations?: Record<string, string>;
}

function readJson(path: string): Document {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** A blob of a layout, which must be what its descriptor says. */
function blob(folder: string, { digest, size }: Descriptor): Buffer {
  const bytes = readFileSync(join(folder, 'blobs/sha256', digest.replace('sha256:', '')));
  assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, digest);
  assert.equal(bytes.length, size);
  return bytes;
}

const manifestOf = (folder: string, descriptor: Descriptor): Document =>
  JSON.parse(blob(folder, descriptor).toString()) as Document;

test('an OCI archive, compressed as asked for, the same each time', async () => {
  const kinds: [string, string, (bytes: Buffer) => Buffer][] = [
    ['', '+gzip', gunzipSync],
    ['gzip', '+gzip', gunzipSync],
    ['zstd', '+zstd', zstdDecompressSync],
    ['uncompressed', '', (bytes) => bytes],
  ];
  for (const [compression, suffix, inflate] of kinds) {
    const attributes: Record<string, string> = compression === '' ? {} : { compression };
    const { file } = await exported('oci', { ...attributes, 'annotation.key': 'value' });
    assert.deepEqual(
      readFileSync((await exported('oci', { ...attributes, 'annotation.key': 'value' })).file),
      readFileSync(file),
    );
    const folder = unpacked(file);
    const [entry] = readJson(join(folder, 'index.json')).manifests;
    assert.ok(entry);
    assert.deepEqual(entry.annotations, {
      'io.containerd.image.name': 'docker.io/library/app:1',
      'org.opencontainers.image.ref.name': '1',
      'org.opencontainers.image.created': '1970-01-01T00:01:00Z',
    });
    const manifest = manifestOf(folder, entry);
    assert.deepEqual(manifest.annotations, { key: 'value' });
    assert.deepEqual(blob(folder, manifest.config), solved.images[0]?.configBytes);
    for (const [index, layer] of manifest.layers.entries()) {
      assert.equal(layer.mediaType, `application/vnd.oci.image.layer.v1.tar${suffix}`);
      const tar = inflate(blob(folder, layer));
      const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
      assert.equal(diffId, solved.images[0]?.layers[index]?.diffId);
    }
  }
  await assert.rejects(exported('oci', { compression: 'lz4' }), /unsupported layer compression type "lz4"/);
});

test('several platforms under one index', async () => {
  const folder = unpacked((await exported('oci', { 'annotation-index.of': 'index' }, 2)).file);
  const [entry] = readJson(join(folder, 'index.json')).manifests;
  assert.ok(entry);
  assert.equal(entry.mediaType, 'application/vnd.oci.image.index.v1+json');
  const index = manifestOf(folder, entry);
  assert.deepEqual(index.annotations, { of: 'index' });
  assert.deepEqual(
    index.manifests.map(({ platform }) => platform?.architecture),
    ['amd64', 'arm64'],
  );
  for (const descriptor of index.manifests) assert.equal(manifestOf(folder, descriptor).layers.length, 2);
});

test('tar=false: blobs go to a store of the client, which is told what its index is to name', async () => {
  const { file, stores, told } = await exported('oci', { tar: 'false' }, 2);
  assert.ok(!existsSync(file));
  const blobs = stores['export'] ?? new Map<Digest, Buffer>();
  for (const [digest, bytes] of blobs) assert.equal(digestOf(bytes), digest);
  const top = JSON.parse(Buffer.from(told['containerimage.descriptor'] ?? '', 'base64').toString());
  assert.equal(top.digest, told['containerimage.digest']);
  const index = JSON.parse(String(blobs.get(top.digest))) as Document;
  assert.equal(index.manifests.length, 2);
  for (const { digest } of index.manifests) {
    const manifest = JSON.parse(String(blobs.get(digest as Digest))) as Document;
    for (const one of [manifest.config, ...manifest.layers]) {
      assert.equal(blobs.get(one.digest as Digest)?.length, one.size);
    }
  }
});

test("Docker's archive has a manifest.json and Docker's types, and one platform", async () => {
  const folder = unpacked((await exported('docker')).file);
  const [item] = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  assert.deepEqual(item.RepoTags, ['app:1']);
  assert.deepEqual(readFileSync(join(folder, item.Config)), solved.images[0]?.configBytes);
  assert.equal(item.Layers.length, 2);
  const [entry] = readJson(join(folder, 'index.json')).manifests;
  assert.equal(entry?.mediaType, 'application/vnd.docker.distribution.manifest.v2+json');
  await assert.rejects(exported('docker', {}, 2), /does not currently support exporting manifest lists/);
});
