/** Pulls from the real registry server: single manifests, indexes, gzip and zstd, authentication, TLS. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { OCI_MANIFEST } from '../media-types.ts';
import { DockerRegistry, dockerRegistryMissing } from '../testing/docker-registry.ts';
import { testImage, testIndex, testLayer } from '../testing/image-builder.ts';
import { PullBench } from '../testing/pull-bench.ts';
import { RepositoryClient } from './client.ts';
import { resolveRegistryOptions } from './options.ts';
import { Transport } from './transport.ts';

const skip = dockerRegistryMissing();

test('images of all kinds', { skip }, async () => {
  await using registry = await DockerRegistry.start();
  using bench = new PullBench();
  const layers = await Promise.all(
    (['gzip', 'zstd', 'none', 'gzip', 'zstd'] as const).map((compression, i) =>
      testLayer(`layer${i}`, { compression, sizeBytes: 300_000 }),
    ),
  );
  const amd = testImage(layers, { mediaType: OCI_MANIFEST });
  const arm = testImage(layers.slice(0, 1), {
    platform: { os: 'linux', architecture: 'arm', variant: 'v6' },
  });
  const index = testIndex([amd, arm]);
  await registry.push('deep/nested/app', 'single', arm);
  await registry.pushIndex('deep/nested/app', 'multi', index, [amd, arm]);
  const name = `${registry.host}/deep/nested/app`;
  const pulled = await bench.pull(`${name}:multi`, { platform: 'linux/amd64' });
  assert.equal(pulled.image.id, amd.configDigest);
  for (const layer of layers) assert.deepEqual(bench.snapshotter.stored.get(layer.diffId), layer.tar);
  assert.equal((await bench.pull(`${name}:multi`, { platform: 'linux/arm/v7' })).image.id, arm.configDigest);
  assert.equal(
    (await bench.pull(`${name}@${index.digest}`, { platform: 'linux/amd64' })).image.id,
    amd.configDigest,
  );
  assert.equal((await bench.pull(`${name}:single`)).image.id, arm.configDigest);
  const again = await bench.pull(`${name}:single`);
  assert.equal(again.messages.at(-1)?.status, `Status: Image is up to date for ${name}:single`);
  const all = await bench.pull(name, { allTags: true, platform: 'linux/arm/v6' });
  assert.equal(all.messages.filter(({ status }) => status.startsWith('Pulling from')).length, 2);
  await assert.rejects(bench.pull(`${name}:none`), {
    kind: 'NotFound',
    message: `manifest for ${name}:none not found: manifest unknown: manifest unknown`,
  });
});

test('an interrupted download resumes by range', { skip }, async () => {
  await using registry = await DockerRegistry.start();
  using bench = new PullBench();
  const layer = await testLayer('big', { sizeBytes: 3 << 20 });
  await registry.push('app', 'latest', testImage([layer]));
  const ingest = await bench.content.ingest(layer.digest);
  await ingest.append(layer.blob.subarray(0, 2_000_000));
  await ingest.close();
  const { messages } = await bench.pull(`${registry.host}/app`);
  const first = messages.find(({ status }) => status === 'Downloading');
  assert.ok((first?.progressDetail?.current ?? 0) > 2_000_000);
  assert.deepEqual(bench.snapshotter.stored.get(layer.diffId), layer.tar);
});

test('the tags of a repository', { skip }, async () => {
  await using registry = await DockerRegistry.start();
  const image = testImage([await testLayer('a')]);
  const tags = Array.from({ length: 5 }, (_, i) => `t${i}`);
  for (const tag of tags) await registry.push('app', tag, image);
  const options = resolveRegistryOptions({ env: {} });
  const transport = new Transport(options);
  const endpoint = { baseUrl: `http://${registry.host}`, mirror: false, insecure: true };
  const client = new RepositoryClient({ endpoint, path: 'app', auth: {}, transport, registry: options });
  assert.deepEqual(await client.tags(AbortSignal.timeout(120_000)), tags);
  transport.reset();
});

test('Basic authentication over TLS with a private CA', { skip }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-registry-tls-'));
  try {
    const [certificate, key] = [join(directory, 'server.crt'), join(directory, 'server.key')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-subj',
        '/CN=registry',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
        '-days',
        '2',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'pipe' },
    );
    await using plain = await DockerRegistry.start();
    const image = testImage([await testLayer('a')]);
    await plain.push('private/app', 'latest', image);
    // bcrypt of "secret", cost 5.
    const htpasswd = 'joe:$2y$05$AdgTPJ.l5Fd03C3UFgeP..7p6Qtc8JYeY/N917MmtmZ8dK5kGJd1O\n';
    await using registry = await DockerRegistry.start(
      { tls: { certificate, key }, htpasswd },
      undefined,
      plain.storage,
    );
    const certificates = join(directory, 'certs.d');
    mkdirSync(join(certificates, registry.host), { recursive: true });
    writeFileSync(join(certificates, registry.host, 'ca.crt'), readFileSync(certificate));
    const options = resolveRegistryOptions({ env: {}, certificateDirectories: [certificates] });
    const transport = new Transport(options);
    // Without the leniency that loopback addresses get.
    const endpoint = { baseUrl: `https://${registry.host}`, mirror: false, insecure: false };
    const client = (auth: object): RepositoryClient =>
      new RepositoryClient({ endpoint, path: 'private/app', auth, transport, registry: options });
    const signal = AbortSignal.timeout(120_000);
    const fetched = await client({ username: 'joe', password: 'secret' }).manifest('latest', signal);
    assert.deepEqual(fetched.bytes, image.manifest);
    await assert.rejects(client({}).manifest('latest', signal), {
      kind: 'Unauthorized',
      message: /no basic auth credentials/,
    });
    await assert.rejects(
      client({ username: 'joe', password: 'no' }).manifest('latest', signal),
      /unauthorized: authentication required/,
    );
    transport.reset();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
