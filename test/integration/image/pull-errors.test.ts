/** Pulls that must fail, each with one clear error and Docker's status code, and nothing left of the image. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { type Gateway, startGateway } from '../../fixtures/gateway.ts';
import { blob, type Layer, makeImage, makeLayer } from '../../fixtures/image.ts';
import { startRegistry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let gateway: Gateway;
before(async () => {
  gateway = await startGateway({ replace: new Map() });
  daemon = await Daemon.start();
});
after(async () => {
  try {
    assert.equal(await daemon.ok('images', '-q'), '', 'no failed pull left an image');
    await daemon.close();
  } finally {
    await gateway.stop();
  }
});

/** The error of a pull through the API: of the answer's status, or of the progress stream. */
async function pullError(reference: string): Promise<{ status: number; message: string }> {
  const [name = '', tag = 'latest'] = reference.split(/:(?=[^/]+$)/);
  const answer = await daemon.api(
    'POST',
    `/images/create?fromImage=${encodeURIComponent(name)}&tag=${encodeURIComponent(tag)}`,
  );
  const last = JSON.parse(answer.text.trim().split('\n').at(-1) ?? '') as {
    message?: string;
    error?: string;
  };
  return { status: answer.status, message: last.message ?? last.error ?? '' };
}

test('malformed names', async () => {
  await daemon.fails(
    1,
    /invalid reference format: repository name \(?.*must be lowercase/,
    'pull',
    'case/UPPER',
  );
  await daemon.fails(1, /invalid reference format/, 'pull', 'a//b');
  await daemon.fails(1, /invalid reference format/, 'pull', 'name:tag:tag');
  await daemon.fails(1, /invalid reference format|invalid checksum digest/, 'pull', 'name@sha256:12');
  assert.equal((await pullError('a//b')).status, 400);
});

test('unknown tags and repositories', async () => {
  const registry = await startRegistry();
  try {
    await registry.push('known', 'latest', await busyboxImage());
    const notFound = (name: string): RegExp =>
      new RegExp(`manifest for ${registry.host}/${name} not found: manifest unknown`);
    await daemon.fails(1, notFound('known:none'), 'pull', `${registry.host}/known:none`);
    assert.equal((await pullError(`${registry.host}/known:none`)).status, 404);
    await daemon.fails(1, notFound('unknown:latest'), 'pull', `${registry.host}/unknown`);
  } finally {
    await registry.stop();
  }
});

test('nobody listens', async () => {
  const { status, message } = await pullError('127.0.0.1:1/x:latest');
  assert.ok(status === 500 || status === 503, `status ${status}`);
  assert.match(message, /127\.0\.0\.1:1.*(connection refused|ECONNREFUSED)/s);
});

test('a blob whose bytes are not what its digest says', async () => {
  const layer = makeLayer(makeTar([{ path: 'honest', data: 'honest' }]), 'gzip');
  const image = makeImage({ layers: [layer] });
  const reference = gateway.add('wrong-digest', 'latest', image);
  const digest = image.blobs[1]?.digest ?? '';
  // The same length, so that only the digest can tell.
  const data = Buffer.from(layer.data);
  data.writeUInt8(data.readUInt8(12) ^ 1, 12);
  gateway.rules.replace?.set(digest, { mediaType: '', digest, data });
  await daemon.fails(1, /filesystem layer verification failed for digest|digest/i, 'pull', reference);
});

test('a blob that is longer or shorter than its descriptor says', async () => {
  for (const change of [-5, 5]) {
    const layer = makeLayer(makeTar([{ path: `length${change}`, data: 'x' }]), 'gzip');
    const image = makeImage({ layers: [layer] });
    const reference = gateway.add(`wrong-length${change}`, 'latest', image);
    const digest = image.blobs[1]?.digest ?? '';
    const data =
      change < 0 ? layer.data.subarray(0, change) : Buffer.concat([layer.data, Buffer.alloc(change)]);
    gateway.rules.replace?.set(digest, { mediaType: '', digest, data });
    const result = await daemon.mydock(['pull', reference]);
    assert.equal(result.code, 1, result.stdout);
  }
});

test('a manifest that is not the one that was asked for by digest', async () => {
  const image = await busyboxImage();
  gateway.add('wrong-manifest', 'latest', image);
  const other = blob(image.manifest.mediaType, {
    ...(JSON.parse(image.manifest.data.toString()) as object),
    x: 1,
  });
  gateway.rules.replace?.set(image.manifest.digest, { ...other, digest: image.manifest.digest });
  await daemon.fails(
    1,
    /manifest verification failed|does not match|digest/i,
    'pull',
    `${gateway.host}/wrong-manifest@${image.manifest.digest}`,
  );
  gateway.rules.replace?.clear();
});

async function refused(name: string, layer: Layer, message: RegExp): Promise<void> {
  const reference = gateway.add(name, 'latest', makeImage({ layers: [await busyboxLayer(), layer] }));
  await daemon.fails(1, message, 'pull', reference);
}

test('broken gzip, truncated gzip', async () => {
  const tar = makeTar([{ path: 'x', data: Buffer.alloc(100_000, 'abc') }]);
  const honest = makeLayer(tar, 'gzip');
  const broken = Buffer.from(honest.data);
  broken.fill(0xff, 40, 60);
  await refused('broken-gzip', { ...honest, data: broken }, /gzip|invalid|corrupt|incorrect|flate/i);
  await refused(
    'truncated-gzip',
    { ...honest, data: honest.data.subarray(0, -20) },
    /unexpected (EOF|end)|truncated|gzip/i,
  );
  await refused(
    'not-gzip',
    { ...honest, data: Buffer.from('this is no gzip') },
    /gzip|header|invalid|archive|unexpected EOF/i,
  );
  // No program is run to unpack, and only gzip and zstd are unpacked at all.
  const xz = Buffer.concat([Buffer.from('fd377a585a00', 'hex'), honest.data]);
  await refused('xz', { ...honest, data: xz }, /xz compression is not implemented/);
});

test("a tar whose diffID is not the configuration's", async () => {
  const layer = makeLayer(makeTar([{ path: 'x', data: 'x' }]), 'gzip');
  await refused(
    'wrong-diffid',
    { ...layer, diffId: `sha256:${'0'.repeat(64)}` },
    /diff ?id|layers from manifest don't match image configuration|0{64}/i,
  );
});

test('a tar that ends in the middle of a file', async () => {
  const tar = makeTar([{ path: 'x', data: 'short', claimedSize: 1_000_000 }]);
  await refused('short-tar', makeLayer(tar, 'gzip'), /unexpected (EOF|end)|truncated|ends/i);
});

test('unknown media types', async () => {
  const image = await busyboxImage();
  const manifest = { ...image.manifest, mediaType: 'application/x-nonsense' };
  const reference = gateway.add('nonsense', 'latest', { ...image, manifest });
  const result = await daemon.mydock(['pull', reference]);
  // Docker goes by the manifest's own mediaType field; either way nothing may crash.
  assert.ok(result.code === 1 || result.code === 0, result.stderr);
  if (result.code === 0) await daemon.ok('rmi', reference);
  const text = blob('text/html', Buffer.from('<html>not a registry</html>'));
  const page = gateway.add('page', 'latest', { ...image, manifest: text });
  await daemon.fails(1, /media ?type|manifest|mediaType|Unsupported|invalid character|JSON/i, 'pull', page);
});

test('errors of the registry come through', async () => {
  gateway.rules.failBlobs = { status: 403, times: 1000 };
  const layer = makeLayer(gzipSync('x'), 'none');
  const reference = gateway.add('forbidden', 'latest', makeImage({ layers: [layer] }));
  const result = await daemon.mydock(['pull', reference]);
  delete gateway.rules.failBlobs;
  assert.equal(result.code, 1);
  assert.match(result.stderr, /403|denied|made to fail|unknown/i);
});
