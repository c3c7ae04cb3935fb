import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { applySizeLimit, checkSizeOption, liftSizeLimit, sizeLimitObstacle, sizeLimitOf } from './quota.ts';

test('sizes are read as Docker reads them', () => {
  assert.equal(checkSizeOption('1048576'), 1048576);
  assert.equal(checkSizeOption('10G'), 10 * 1024 ** 3);
  assert.equal(checkSizeOption('1.5m'), 1.5 * 1024 ** 2);
  assert.equal(checkSizeOption('512KiB'), 512 * 1024);
  assert.equal(checkSizeOption('2tb'), 2 * 1024 ** 4);
  for (const wrong of ['', 'x', '-1', '10 X', '1e9', '0x10', '10GG']) {
    assert.throws(() => checkSizeOption(wrong), {
      kind: 'InvalidParameter',
      message: `invalid size: '${wrong}'`,
    });
  }
  assert.throws(() => checkSizeOption('1k'), /less than 64k/);
  assert.throws(() => checkSizeOption('99999999p'), /too large/);
});

test('where the file system has no project quotas, that is what the error says', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'quota-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const obstacle = sizeLimitObstacle(folder);
  if (obstacle === undefined) {
    applySizeLimit('v', folder, 1024 ** 2);
    assert.equal(sizeLimitOf(folder)?.limitBytes, 1024 ** 2);
    liftSizeLimit(folder);
    assert.equal(sizeLimitOf(folder), undefined);
    return;
  }
  assert.ok(obstacle.includes(folder));
  assert.throws(() => applySizeLimit('v', folder, 1024 ** 2), {
    kind: 'Unavailable',
    message: `volume v: size limits need project quotas: ${obstacle}`,
  });
  assert.equal(sizeLimitOf(folder), undefined);
  liftSizeLimit(folder);
});
