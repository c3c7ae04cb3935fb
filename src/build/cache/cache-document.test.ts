import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDiffID, parseDigest } from '../../image/digest.ts';
import { type ImageConfig, parseImageConfig } from '../../image/image-config.ts';
import type { CacheTrail } from '../solve/solved.ts';
import { type CacheRecord, formatCache, INLINE_FIELD, parseCache, parseInline } from './cache-document.ts';
import { readExportForm } from './export-cache.ts';
import { inlineCache } from './export-inline.ts';

const hex = (digit: string): string => digit.repeat(64);
const layer = (digit: string) => ({
  diffId: parseDiffID(`sha256:${hex(digit)}`),
  blob: {
    digest: parseDigest(`sha256:${hex(digit)}`),
    sizeBytes: 10,
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
});

test('a cache reads as it was written, each layer once', () => {
  const records: CacheRecord[] = [
    { key: hex('1'), definition: hex('d'), aliases: [hex('2')], layer: layer('a') },
    { key: hex('3'), definition: hex('d'), aliases: [], layer: undefined },
    { key: hex('4'), definition: hex('d'), aliases: [], layer: layer('a') },
    { key: hex('5'), definition: hex('d'), aliases: [], layer: layer('b') },
  ];
  const { bytes, blobs } = formatCache(records);
  assert.deepEqual(parseCache(bytes), records);
  assert.deepEqual(blobs, [layer('a').blob, layer('b').blob]);
});

test('what is no cache is refused with the place', () => {
  const whole = JSON.parse(
    formatCache([{ key: hex('1'), definition: hex('d'), aliases: [], layer: layer('a') }]).bytes.toString(),
  ) as { layers: object[]; records: object[] };
  const cases: [object, RegExp][] = [
    [{ ...whole, version: 2 }, /"version": expected 1/],
    [{ ...whole, layers: [{ ...whole.layers[0], diffId: 'x' }] }, /invalid diffID "x"/],
    [{ ...whole, layers: [{ ...whole.layers[0], size: -1 }] }, /"size": expected/],
    [{ ...whole, layers: [{ ...whole.layers[0], mediaType: 'text/plain' }] }, /text\/plain/],
    [{ ...whole, records: [{ ...whole.records[0], layer: 1 }] }, /records\[0\]: field "layer"/],
    [{ ...whole, records: [{ ...whole.records[0], layer: -1 }] }, /"layer"/],
    [{ ...whole, records: [{ ...whole.records[0], key: '../x' }] }, /"key": expected keys of 64/],
    [{ ...whole, records: [{ ...whole.records[0], aliases: Array(65).fill(hex('1')) }] }, /"key"/],
    [{ ...whole, records: Array(100_001).fill(whole.records[0]) }, /more than 100000 records/],
  ];
  for (const [document, message] of cases) {
    assert.throws(() => parseCache(Buffer.from(JSON.stringify(document))), message);
  }
  assert.throws(() => parseCache(Buffer.from('[')), /not valid JSON/);
});

const trail = (...digits: string[]): CacheTrail[] =>
  digits.map((digit) => ({
    key: hex(digit),
    definition: hex('d'),
    aliases: [hex('9'), hex('8')],
    layer: { diffId: layer(digit).diffId, sizeBytes: 1 },
  }));

function configWith(field: unknown, digits: readonly string[]): ImageConfig {
  const rootfs = { type: 'layers', diff_ids: digits.map((digit) => layer(digit).diffId) };
  return parseImageConfig(Buffer.from(JSON.stringify({ rootfs, [INLINE_FIELD]: field })));
}

test('an image tells of the steps of its layers, in whatever order they were done', () => {
  const inline = { cacheTo: [{ type: 'inline', attributes: {} }], buildArgs: {} };
  const layers = ['b', 'a'].map((digit) => ({ diffId: layer(digit).diffId, sizeBytes: 1 }));
  const one = inlineCache(inline, trail('a', 'b', 'c'), layers);
  assert.deepEqual(inlineCache(inline, trail('c', 'b', 'a'), layers), one);
  const read = parseInline(configWith(one, ['b', 'a']), [layer('b').blob, layer('a').blob]);
  assert.deepEqual(
    read?.map(({ key, layer: of }) => [key, of?.diffId, of?.blob?.digest]),
    ['a', 'b'].map((digit) => [hex(digit), layer(digit).diffId, layer(digit).blob.digest]),
  );
  assert.deepEqual(read?.[0]?.aliases, [hex('8'), hex('9')]);
  assert.equal(inlineCache({ cacheTo: [], buildArgs: {} }, trail('a'), layers), undefined);
  assert.equal(parseInline(configWith(null, ['a']), []), undefined);
  assert.throws(() => parseInline(configWith('x', ['a']), []), /expected an object/);
});

test('forms of exports', () => {
  assert.deepEqual(readExportForm({}), {
    mode: 'min',
    isOci: true,
    asManifest: true,
    choice: { compression: 'gzip', force: false },
    cacheMounts: false,
    mountBytes: 1_000_000_000,
  });
  assert.equal(readExportForm({ 'oci-mediatypes': 'false' }).asManifest, false);
  for (const attributes of [
    { mode: 'most' },
    { 'oci-mediatypes': 'no' },
    { 'oci-mediatypes': 'false', 'image-manifest': 'true' },
    { 'oci-mediatypes': 'false', compression: 'zstd' },
    { compression: 'estargz' },
  ]) {
    assert.throws(() => readExportForm(attributes), { kind: 'InvalidParameter' });
  }
});
