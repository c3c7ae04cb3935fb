/** Import: the configuration that an image of a bare file system gets, and requests that are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePlatform } from '../platform.ts';
import { ArchiveBench } from '../testing/archive-bench.ts';
import { testLayer } from '../testing/image-builder.ts';
import type { ImportRequest } from './image-importer.ts';
import { parseImportUrl } from './import-source.ts';

const layer = await testLayer('file', { compression: 'none' });

async function* chunks(...bytes: Buffer[]): AsyncGenerator<Buffer> {
  yield* bytes;
}

function request(options: Partial<ImportRequest>): ImportRequest {
  return {
    from: '-',
    body: chunks(layer.tar.subarray(0, 700), layer.tar.subarray(700)),
    repository: '',
    tag: '',
    message: '',
    changes: [],
    onStatus: () => {},
    signal: AbortSignal.timeout(120_000),
    ...options,
  };
}

test('one layer, one history entry, the changes, the name', async () => {
  using bench = new ArchiveBench();
  const image = await bench.archives.import(
    request({
      repository: 'rootfs:2',
      message: 'from a disk',
      changes: ['A=b'],
      platform: parsePlatform('linux/arm64'),
    }),
  );
  assert.deepEqual(image.repoTags, ['rootfs:2']);
  assert.deepEqual(image.diffIds, [layer.diffId]);
  assert.equal(image.architecture, 'arm64');
  assert.deepEqual(image.config.config, { Env: ['A=b'] });
  const { created } = image.config;
  assert.deepEqual(image.config.history, [{ created, comment: 'from a disk' }]);
  assert.ok(Date.now() - Date.parse(created ?? '') < 60_000);
});

test('without a message it tells the source; without a name it has none', async () => {
  using bench = new ArchiveBench();
  const image = await bench.archives.import(request({}));
  assert.deepEqual(image.repoTags, []);
  assert.equal(image.config.history[0]?.comment, 'Imported from -');
  assert.equal(image.os, 'linux');
});

test('what is wrong is refused before the archive is read, and leaves nothing', async () => {
  for (const [wrong, message] of [
    [{ repository: 'UPPER' }, /must be lowercase/],
    [{ repository: `x@sha256:${'a'.repeat(64)}` }, /cannot import digest reference/],
    [{ platform: { os: 'windows', architecture: 'amd64' } }, /operating system "windows" is not supported/],
    [{ from: 'ftp://host/x' }, /expected an http or https URL/],
  ] as const) {
    using bench = new ArchiveBench();
    let read = false;
    const body = (async function* () {
      read = true;
      yield layer.tar;
    })();
    await assert.rejects(bench.archives.import(request({ ...wrong, body })), {
      kind: 'InvalidParameter',
      message,
    });
    assert.equal(read, false);
    assert.deepEqual(bench.leftovers(), []);
  }
});

test('no bytes are no archive', async () => {
  using bench = new ArchiveBench();
  await assert.rejects(bench.archives.import(request({ body: chunks() })), {
    kind: 'InvalidParameter',
    message: /no bytes came/,
  });
  assert.deepEqual(bench.leftovers(), []);
});

test('a name that is refused by the store gives the layer back', async () => {
  using bench = new ArchiveBench();
  await assert.rejects(bench.archives.import(request({ repository: 'sha256' })), {
    kind: 'InvalidParameter',
  });
  assert.deepEqual(bench.leftovers(), []);
});

test('addresses', () => {
  assert.equal(parseImportUrl('example.com/a.tar').href, 'http://example.com/a.tar');
  assert.equal(parseImportUrl('https://example.com/a.tar').href, 'https://example.com/a.tar');
  for (const bad of ['file:///etc/passwd', 'gopher://x', 'http://', 'unix:///run/x']) {
    assert.throws(() => parseImportUrl(bad), { kind: 'InvalidParameter' }, bad);
  }
});
