import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wayInside } from './confined-bind.ts';

test('the way from a mount root to what lies in it', () => {
  assert.equal(wayInside('/srv/ci', '/srv/ci'), '.');
  assert.equal(wayInside('/srv/ci', '/srv/ci/'), '.');
  assert.equal(wayInside('/srv/ci', '/srv/ci/a/b'), 'a/b');
  assert.equal(wayInside('/srv/ci', '/srv/ci/a/../b'), 'b');
  assert.equal(wayInside('/srv/ci', '/srv/ci/..a'), '..a');
  for (const outside of ['/', '/srv', '/srv/ci2', '/srv/ci/../x', '/srv/ci/..', '/etc']) {
    assert.equal(wayInside('/srv/ci', outside), undefined, outside);
  }
});
