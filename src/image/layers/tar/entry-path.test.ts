/** Names in layers: cleaned, refused, and told from whiteouts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byteString } from './byte-string.ts';
import { cleanPath, opaqueName, pathMeaning, whiteoutName } from './entry-path.ts';

test('cleanPath', () => {
  for (const [name, path] of [
    ['a/b', 'a/b'],
    ['./', ''],
    ['.', ''],
    ['/', ''],
    ['', ''],
    ['./a//b/', 'a/b'],
    ['/abs/x', 'abs/x'],
    ['a/../b', 'b'],
    ['a/./b/..', 'a'],
    ['/../x', 'x'],
    ['..a/b..', '..a/b..'],
    ['...', '...'],
    ['../x', undefined],
    ['a/../../x', undefined],
    ['..', undefined],
  ] as const) {
    assert.equal(cleanPath(byteString(name)), path, name);
  }
});

test('pathMeaning', () => {
  for (const [name, meaning] of [
    ['a/.wh.b', { kind: 'whiteout', path: 'a/b' }],
    ['.wh.b', { kind: 'whiteout', path: 'b' }],
    ['./a/.wh.b/', { kind: 'whiteout', path: 'a/b' }],
    ['a/.wh..wh..opq', { kind: 'opaque', path: 'a' }],
    ['.wh..wh..opq', { kind: 'opaque', path: '' }],
    ['.wh..wh.plnk/1.2', { kind: 'ignored' }],
    ['.wh..wh.aufs', { kind: 'ignored' }],
    ['a.wh.b', { kind: 'entry', path: 'a.wh.b' }],
    ['a.wh.b/c', { kind: 'entry', path: 'a.wh.b/c' }],
    ['.wh', { kind: 'entry', path: '.wh' }],
  ] as const) {
    assert.deepEqual(pathMeaning(byteString(name)), meaning, name);
  }
  for (const name of ['.wh.', '.wh..', '.wh...', 'a/.wh...', '.wh.a/b', '../a', 'x/.wh./y']) {
    assert.ok('refused' in pathMeaning(byteString(name)), name);
  }
});

test('names of whiteouts', () => {
  assert.equal(whiteoutName(byteString('a/b')), 'a/.wh.b');
  assert.equal(whiteoutName(byteString('b')), '.wh.b');
  assert.equal(opaqueName(byteString('a')), 'a/.wh..wh..opq');
  assert.equal(opaqueName(byteString('')), '.wh..wh..opq');
});
