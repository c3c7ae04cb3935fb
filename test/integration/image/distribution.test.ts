/** What a registry has under a name: the API's distribution, and `manifest inspect` beside Docker's. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { busyboxImage, busyboxLayer } from '../../fixtures/catalog.ts';
import { type Format, makeImage, makeIndex, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { recentDockerPrograms } from '../engine.ts';
import { Daemon } from '../harness.ts';

const FORMATS: readonly Format[] = ['docker', 'oci'];

let daemon: Daemon;
let registry: Registry;
let secret: Registry;
const references: string[] = [];
before(async () => {
  registry = await startRegistry();
  secret = await startRegistry({ password: true });
  const layer = await busyboxLayer();
  for (const format of FORMATS) {
    const one = makeImage({ layers: [layer], format, config: { Labels: { a: '<b>' } } });
    const other = makeImage({ layers: [layer], format, platform: OTHER_PLATFORM });
    references.push(await registry.push(`one/${format}`, 'v1', one));
    references.push(await registry.push(`many/${format}`, 'v1', makeIndex([one, other], format)));
  }
  daemon = await Daemon.start();
});
after(async () => {
  try {
    await daemon.close();
  } finally {
    await Promise.all([registry.stop(), secret.stop()]);
  }
});

test('GET /distribution: descriptor and platforms of images and indexes', async () => {
  for (const format of FORMATS) {
    const one = makeImage({ layers: [await busyboxLayer()], format, config: { Labels: { a: '<b>' } } });
    const other = makeImage({ layers: [await busyboxLayer()], format, platform: OTHER_PLATFORM });
    const index = makeIndex([one, other], format);
    for (const [name, manifest, platforms] of [
      [`one/${format}:v1`, one.manifest, [one.platform]],
      [`one/${format}@${one.manifest.digest}`, one.manifest, [one.platform]],
      [`many/${format}:v1`, index.manifest, [one.platform, other.platform]],
    ] as const) {
      const answer = await daemon.api('GET', `/distribution/${registry.host}/${name}/json`);
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(answer.json(), {
        Descriptor: { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.data.length },
        Platforms: platforms,
      });
    }
  }
});

test('GET /distribution: errors', async () => {
  const reference = await secret.push('secret', 'latest', await busyboxImage());
  const status = async (name: string): Promise<number> =>
    (await daemon.api('GET', `/distribution/${name}/json`)).status;
  assert.equal(await status(`${registry.host}/none`), 404);
  assert.equal(await status(reference), 401);
  assert.equal(await status('UPPER'), 400);
  assert.equal(await status('a'.repeat(64)), 400);
  assert.equal(await status('127.0.0.1:1/x'), 503);
});

test('manifest inspect shows the bytes that the registry has', async () => {
  const image = makeImage({
    layers: [await busyboxLayer()],
    format: 'oci',
    config: { Labels: { a: '<b>' } },
  });
  const plain = await daemon.ok('manifest', 'inspect', `${registry.host}/one/oci:v1`);
  assert.deepEqual(JSON.parse(plain), JSON.parse(image.manifest.data.toString()));
  const verbose = JSON.parse(await daemon.ok('manifest', 'inspect', '-v', `${registry.host}/one/oci:v1`));
  assert.equal(Buffer.from(verbose.Raw, 'base64').toString(), image.manifest.data.toString());
  assert.equal(verbose.Descriptor.digest, image.manifest.digest);
});

// Older ones leave fields out.
for (const program of recentDockerPrograms()) {
  test(`manifest inspect prints what ${program} prints`, async () => {
    for (const reference of references) {
      for (const flags of [[], ['-v']]) {
        const args = ['manifest', 'inspect', '--insecure', ...flags, reference];
        const theirs = await daemon.docker(program, args, {
          env: { DOCKER_CLI_EXPERIMENTAL: 'enabled' },
        });
        assert.equal(theirs.code, 0, theirs.stderr);
        assert.equal(`${await daemon.ok(...args)}\n`, theirs.stdout, args.join(' '));
      }
    }
  });
}

test('manifest inspect: errors, and verbs that are not there', async () => {
  const missing = `${registry.host}/none:v1`;
  await daemon.fails(1, new RegExp(`^no such manifest: ${missing}\n$`), 'manifest', 'inspect', missing);
  await daemon.fails(1, /must be lowercase/, 'manifest', 'inspect', 'UPPER');
  for (const verb of ['annotate', 'create', 'push', 'rm']) {
    await daemon.fails(
      1,
      new RegExp(`^manifest ${verb} is not implemented by mydock\n$`),
      ...['manifest', verb, 'a', 'b'],
    );
  }
});
