import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absolutePath, followedPath, planCopy, splitCopyArgument, splitEntry } from './copy-paths.ts';

test('a colon names a container unless the path is plainly local', () => {
  assert.deepEqual(splitCopyArgument('c:/a:b'), { container: 'c', path: '/a:b' });
  for (const local of ['/a:b', './a:b', '../a:b', 'a']) {
    assert.deepEqual(splitCopyArgument(local), { container: '', path: local });
  }
});

test('trailing slashes and dots outlive the cleaning', () => {
  assert.equal(absolutePath('a/../b/', '/w'), '/w/b/');
  assert.equal(absolutePath('b/.', '/w'), '/w/b/.');
  assert.equal(absolutePath('.', '/w'), '/w/.');
  assert.deepEqual(splitEntry('/a/b/'), { parent: '/a', base: 'b' });
  assert.deepEqual(splitEntry('/a/b/.'), { parent: '/a/b', base: '.' });
  assert.deepEqual(splitEntry('a'), { parent: '.', base: 'a' });
  assert.deepEqual(splitEntry('/'), { parent: '/', base: '/' });
});

test('a followed link keeps the name it was asked by', () => {
  assert.deepEqual(followedPath('/l', '/x/real'), { path: '/x/real', rebaseName: 'l' });
  assert.deepEqual(followedPath('/l/.', '/x/real'), { path: '/x/real/.', rebaseName: undefined });
});

test('the destination decides where the copy goes, and under which name', () => {
  const folder = (path: string) => ({ path, exists: true, isDirectory: true });
  const file = (path: string) => ({ path, exists: true, isDirectory: false });
  const missing = (path: string) => ({ path, exists: false, isDirectory: false });
  const source = { path: '/s/a', isDirectory: false };
  const tree = { path: '/s/d', isDirectory: true };
  assert.deepEqual(planCopy(source, folder('/t')), { folder: '/t', name: 'a' });
  assert.deepEqual(planCopy(source, file('/t/b')), { folder: '/t', name: 'b' });
  assert.deepEqual(planCopy(source, missing('/t/b')), { folder: '/t', name: 'b' });
  assert.deepEqual(planCopy(tree, folder('/t')), { folder: '/t', name: 'd' });
  assert.deepEqual(planCopy({ ...tree, path: '/s/d/.' }, folder('/t')), { folder: '/t', name: '.' });
  assert.deepEqual(planCopy(tree, missing('/t/new/')), { folder: '/t', name: 'new' });
  assert.throws(() => planCopy(tree, file('/t/b')), { message: 'cannot copy directory' });
  assert.throws(() => planCopy(source, missing('/t/new/')), { message: 'no such directory' });
});
