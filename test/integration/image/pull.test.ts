/** `pull`: names, tags, digests, indexes by platform, compressions, progress, and what is fetched a second time. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  busyboxImage,
  busyboxLayer,
  debianImage,
  hasDebianImage,
  layeredImage,
} from '../../fixtures/catalog.ts';
import { type Format, makeImage, makeIndex, makeLayer, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { LAYERED_EXPECTATION } from '../../fixtures/layered.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { Daemon } from '../harness.ts';

let daemon: Daemon;
let registry: Registry;
before(async () => {
  registry = await startRegistry();
  daemon = await Daemon.start();
});
after(async () => {
  await daemon.close();
  await registry.stop();
});

test('by tag: the lines that a pull prints, and the image that is there afterwards', async () => {
  const image = await busyboxImage();
  const reference = await registry.push('first', 'v1', image);
  const output = await daemon.ok('pull', reference);
  assert.match(output, /^v1: Pulling from first\n/);
  assert.match(output, /^[0-9a-f]{12}: Pull complete$/m);
  assert.ok(
    output.includes(
      `Digest: ${image.manifest.digest}\nStatus: Downloaded newer image for ${reference}\n${reference}`,
    ),
    output,
  );
  assert.equal(await daemon.inspect(reference, '{{.Id}}'), image.id);
  assert.equal(
    await daemon.inspect(reference, '{{json .RepoDigests}}'),
    JSON.stringify([`${registry.host}/first@${image.manifest.digest}`]),
  );
  assert.match(await daemon.ok('pull', reference), /Status: Image is up to date for /);
});

test('without a tag it is latest; -q prints the reference alone', async () => {
  const reference = await registry.push('a/b/nested', 'latest', await busyboxImage());
  assert.equal(await daemon.ok('pull', '-q', reference.replace(':latest', '')), reference);
});

test('by digest', async () => {
  const image = await busyboxImage({ config: { Labels: { by: 'digest' } } });
  await registry.push('digested', 'x', image);
  const reference = `${registry.host}/digested@${image.manifest.digest}`;
  await daemon.ok('pull', reference);
  assert.equal(await daemon.ok('run', '--rm', reference, 'echo', 'runs'), 'runs');
  assert.match(
    await daemon.ok('images', '--digests', `${registry.host}/digested`),
    new RegExp(`<none>\\s+${image.manifest.digest}`),
  );
});

test('-a, and a request without a tag: the whole repository', async () => {
  const image = await busyboxImage();
  const second = await busyboxImage({ config: { Labels: { of: 'all' } } });
  await registry.push('every', 'one', image);
  await registry.push('every', 'two', second);
  const name = `${registry.host}/every`;
  const listed = async (): Promise<string[]> =>
    (await daemon.ok('images', '--format', '{{.Tag}}', name)).split('\n').sort();
  const output = await daemon.ok('pull', '-a', name);
  for (const { manifest } of [image, second])
    assert.ok(output.includes(`Digest: ${manifest.digest}`), output);
  assert.ok(output.endsWith(`Status: Downloaded newer image for ${name}\n${name}`), output);
  assert.deepEqual(await listed(), ['one', 'two']);
  await daemon.fails(1, /tag can't be used with --all-tags/, 'pull', '-a', `${name}:one`);
  for (const [query, tags] of [
    [`fromImage=${name}`, ['one', 'two']],
    [`fromImage=${name}:`, ['one', 'two']],
    [`fromImage=${name}:two`, ['two']],
    [`fromImage=${name}:one&tag=two`, ['two']],
  ] as const) {
    await daemon.ok('rmi', ...(await listed()).map((tag) => `${name}:${tag}`));
    const answer = await daemon.api('POST', `/images/create?${query}`);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(await listed(), tags, query);
  }
});

for (const format of ['docker', 'oci'] as Format[]) {
  for (const compression of ['none', 'gzip', 'zstd'] as const) {
    // Docker knows no zstd layers before 23, and no plain ones of its own media type.
    const skip =
      TESTING_DOCKER && (compression === 'zstd' || compression === 'none') && 'Docker 20.10 lacks it';
    test(`${format} manifest, ${compression} layers`, { skip }, async () => {
      const own = makeLayer(makeTar([{ path: 'own', data: `${format} ${compression}\n` }]), compression);
      const image = makeImage({
        layers: [await busyboxLayer(compression), own],
        format,
        config: { Cmd: ['cat', '/own'] },
      });
      const reference = await registry.push(`kinds-${format}`, compression, image);
      assert.equal(await daemon.ok('run', '--rm', reference), `${format} ${compression}`);
    });
  }
  test(`${format} index: this machine's image, or the one that --platform names`, async () => {
    const layer = makeLayer(makeTar([{ path: 'platform', data: 'other\n' }]), 'gzip');
    const here = await busyboxImage({ format });
    const other = makeImage({ layers: [layer], format, platform: OTHER_PLATFORM });
    const reference = await registry.push(`index-${format}`, 'latest', makeIndex([other, here], format));
    await daemon.ok('pull', reference);
    assert.equal(await daemon.inspect(reference, '{{.Id}}'), here.id);
    const { os, architecture, variant } = OTHER_PLATFORM;
    const platform = [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
    await daemon.ok('pull', '--platform', platform, reference);
    assert.equal(await daemon.inspect(reference, '{{.Id}} {{.Architecture}}'), `${other.id} ${architecture}`);
    await daemon.fails(
      1,
      /no matching manifest for linux\/s390x|does not (match|provide)/,
      'pull',
      '--platform',
      'linux/s390x',
      reference,
    );
  });
}

test('a layer in several zstd frames or gzip members comes whole', {
  skip: TESTING_DOCKER && 'Docker 20.10 lacks zstd',
}, async () => {
  const data = Buffer.alloc(3_000_000, 'many frames ');
  const tar = makeTar([{ path: 'big', data }]);
  for (const compression of ['zstd', 'gzip'] as const) {
    const image = makeImage({
      layers: [await busyboxLayer(), makeLayer(tar, compression, 5)],
      format: 'oci',
    });
    const reference = await registry.push('frames', compression, image);
    assert.equal(await daemon.ok('run', '--rm', reference, 'wc', '-c', '/big'), '3000000 /big');
  }
});

for (const format of ['docker', 'oci'] as Format[]) {
  const compression = format === 'oci' && !TESTING_DOCKER ? 'zstd' : 'gzip';
  test(`48 layers of every kind of change, ${compression}`, async () => {
    const reference = await registry.push(
      `layered-${format}`,
      'latest',
      await layeredImage(compression, format),
    );
    await daemon.ok('pull', '-q', reference);
    for (const { script, output } of LAYERED_EXPECTATION) {
      const result = await daemon.mydock(['run', '--rm', reference, 'sh', '-c', script]);
      assert.equal(result.stdout, output, `${script}: ${result.stderr}`);
    }
  });
}

test('a Debian base runs its own programs', {
  skip: !hasDebianImage() && 'no Debian base image could be made',
}, async () => {
  const reference = await registry.push('debian', 'bookworm', await debianImage('gzip'));
  assert.match(
    await daemon.ok('run', '--rm', reference, 'cat', '/etc/os-release'),
    /^VERSION_CODENAME=bookworm$/m,
  );
  assert.match(await daemon.ok('run', '--rm', reference, 'bash', '-c', 'dpkg -l | grep -c ^ii'), /^\d{2,}$/);
  assert.equal(
    await daemon.ok('run', '--rm', reference, 'stat', '-c', '%a %U', '/tmp', '/usr/bin/passwd', '/root'),
    '1777 root\n4755 root\n700 root',
  );
});

test('two images that share layers at the same time', async () => {
  const references = await Promise.all(
    ['one', 'two', 'three'].map(async (name) => {
      const layer = makeLayer(makeTar([{ path: 'name', data: name }]), 'gzip');
      return await registry.push('shared', name, makeImage({ layers: [await busyboxLayer(), layer] }));
    }),
  );
  await Promise.all([...references, ...references].map((reference) => daemon.ok('pull', '-q', reference)));
  for (const reference of references) {
    assert.equal(await daemon.ok('run', '--rm', reference, 'cat', '/name'), reference.split(':').at(-1));
  }
});

test('on a terminal there is a line a layer, redrawn', async () => {
  const reference = await registry.push(
    'drawn',
    'latest',
    await busyboxImage({ config: { Labels: { drawn: '1' } } }),
  );
  const result = await daemon.mydock(['pull', reference], { tty: true });
  assert.equal(result.code, 0);
  assert.match(result.stdout, /Already exists|Pull complete/);
  assert.match(result.stdout, /Status: Downloaded newer image for/);
});
