import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseManifest } from './manifest.ts';
import { DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const CONFIG = { mediaType: 'application/vnd.oci.image.config.v1+json', size: 5, digest: DIGEST };

function parse(document: unknown, contentType = ''): ReturnType<typeof parseManifest> {
  return parseManifest(
    Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)),
    contentType,
    'x:1',
  );
}

test('the type comes from the document, then the header, then the fields', () => {
  const image = { schemaVersion: 2, config: CONFIG, layers: [] };
  assert.equal(parse({ ...image, mediaType: DOCKER_MANIFEST }, OCI_MANIFEST).mediaType, DOCKER_MANIFEST);
  assert.equal(parse(image, `${DOCKER_MANIFEST}; charset=utf-8`).mediaType, DOCKER_MANIFEST);
  assert.equal(parse(image, 'text/plain').mediaType, OCI_MANIFEST);
  assert.equal(parse({ schemaVersion: 2, manifests: [] }, 'application/json').mediaType, OCI_INDEX);
});

test('fields of an image and of an index are read', () => {
  const image = parse({
    schemaVersion: 2,
    config: CONFIG,
    layers: [{ ...CONFIG, urls: ['http://x/'], annotations: { a: 'b' } }],
  });
  assert.ok(image.kind === 'image');
  assert.deepEqual(image.layers, [
    {
      mediaType: CONFIG.mediaType,
      digest: DIGEST,
      sizeBytes: 5,
      urls: ['http://x/'],
      annotations: { a: 'b' },
    },
  ]);
  const index = parse({
    schemaVersion: 2,
    manifests: [
      { ...CONFIG, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      { ...CONFIG, digest: `sha512:${'b'.repeat(128)}` },
    ],
  });
  assert.ok(index.kind === 'index');
  assert.deepEqual(
    index.manifests.map(({ platform }) => platform),
    [{ os: 'linux', architecture: 'arm', variant: 'v7' }],
  );
});

test('schema 1 is refused by name', () => {
  const expected = {
    kind: 'InvalidParameter',
    message: /^Docker Image Format v1 and .*schema 1 support has been removed.*x:1/,
  };
  assert.throws(() => parse({ schemaVersion: 1 }), expected);
  assert.throws(() => parse('{}', DOCKER_SCHEMA1_SIGNED), expected);
});

test('what is ambiguous, malformed or foreign is refused', () => {
  const bad: unknown[] = [
    'not json',
    '[]',
    'null',
    '\xff\xfe',
    {},
    { schemaVersion: 2 },
    { schemaVersion: '2', config: CONFIG, layers: [] },
    { schemaVersion: 2, config: CONFIG },
    { schemaVersion: 2, config: CONFIG, layers: {} },
    { schemaVersion: 2, config: CONFIG, layers: [3] },
    { schemaVersion: 2, config: CONFIG, layers: [], manifests: [] },
    { schemaVersion: 2, mediaType: OCI_INDEX, config: CONFIG, layers: [] },
    { schemaVersion: 2, mediaType: OCI_MANIFEST, manifests: [] },
    { schemaVersion: 2, mediaType: 'application/vnd.other', config: CONFIG, layers: [] },
    { schemaVersion: 2, config: { ...CONFIG, size: -1 }, layers: [] },
    { schemaVersion: 2, config: { ...CONFIG, size: 1e300 }, layers: [] },
    { schemaVersion: 2, config: { ...CONFIG, digest: 'sha256:../../x' }, layers: [] },
  ];
  for (const document of bad) {
    assert.throws(() => parse(document), { kind: 'InvalidParameter' }, JSON.stringify(document));
  }
  assert.throws(() => parseManifest(Buffer.alloc((4 << 20) + 1, ' '), ''), /larger than/);
});
