import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDiffID } from './digest.ts';
import { chainIds, parseImageConfig } from './image-config.ts';

const DIFF = `sha256:${'1'.repeat(64)}`;
/** sha256 of the two diffIDs with a space between. */
const CHAIN_OF_TWO = '20b0c8810891d9ec8b5debc46617a9ee6898eb0cad35e0d79ff681ff6a787ef8';
const parse = (document: unknown): ReturnType<typeof parseImageConfig> =>
  parseImageConfig(Buffer.from(JSON.stringify(document)));

test('unknown fields stay, nulls count as absent, bare-string commands become lists', () => {
  const config = parse({
    architecture: 'amd64',
    os: 'linux',
    'x.vendor': { a: 1 },
    container_config: null,
    config: { Env: ['A=1'], Cmd: 'sh', Entrypoint: null, Labels: null, OnBuild: null, Extra: [1] },
    rootfs: { type: 'layers', diff_ids: [DIFF] },
    history: null,
  });
  assert.deepEqual(config['x.vendor'], { a: 1 });
  assert.deepEqual(config.config, { Env: ['A=1'], Cmd: ['sh'], Extra: [1] });
  assert.deepEqual(config.rootfs.diff_ids, [DIFF]);
  assert.deepEqual(config.history, []);
  assert.equal('container_config' in config, false);
});

test('an image from scratch may have no layers and no configuration', () => {
  const config = parse({ rootfs: { type: 'layers', diff_ids: null } });
  assert.deepEqual([config.rootfs.diff_ids, config.config, config.os], [[], {}, '']);
});

test('fields of the wrong type are refused by name', () => {
  const good = { rootfs: { type: 'layers', diff_ids: [] } };
  const cases: [unknown, RegExp][] = [
    [{}, /rootfs/],
    [{ rootfs: { type: 'tree', diff_ids: [] } }, /rootfs/],
    [{ rootfs: { type: 'layers', diff_ids: ['x'] } }, /invalid diffID "x"/],
    [{ ...good, created: 'yesterday' }, /"created"/],
    [{ ...good, os: 3 }, /"os"/],
    [{ ...good, config: [] }, /config/],
    [{ ...good, config: { Env: 'A=1' } }, /"Env"/],
    [{ ...good, config: { Env: [1] } }, /"Env"/],
    [{ ...good, config: { Cmd: 7 } }, /"Cmd"/],
    [{ ...good, config: { Labels: { a: 1 } } }, /"Labels"/],
    [{ ...good, config: { ExposedPorts: ['80'] } }, /ExposedPorts/],
    [{ ...good, history: [{ empty_layer: 'yes' }] }, /"empty_layer"/],
  ];
  for (const [document, message] of cases) {
    assert.throws(() => parse(document), { kind: 'InvalidParameter', message });
  }
});

test('chain IDs', () => {
  const a = parseDiffID(DIFF);
  assert.deepEqual(chainIds([]), []);
  assert.deepEqual(chainIds([a, a]), [
    DIFF,
    // printf 'sha256:111… sha256:111…' | sha256sum
    `sha256:${CHAIN_OF_TWO}`,
  ]);
});
