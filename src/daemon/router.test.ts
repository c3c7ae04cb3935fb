import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Handler, Router, splitVersion } from './router.ts';

const first: Handler = () => undefined;
const second: Handler = () => undefined;
const router = new Router([
  { method: 'GET', path: '/images/json', handle: first },
  { method: 'GET', path: '/images/{name:.*}/json', handle: second },
  { method: 'POST', path: '/containers/{id}/start', handle: first },
]);

test('names of images may hold slashes', () => {
  assert.equal(router.match('GET', '/images/json').handle, first);
  const { handle, params } = router.match('GET', '/images/localhost:5000/a/b:1/json');
  assert.equal(handle, second);
  assert.equal(params['name'], 'localhost:5000/a/b:1');
});

test('parameters are decoded, and do not reach over a slash', () => {
  assert.equal(router.match('POST', '/containers/a%20b/start').params['id'], 'a b');
  assert.throws(() => router.match('POST', '/containers/a/b/start'), {
    kind: 'NotFound',
    message: 'page not found',
  });
  assert.throws(() => router.match('POST', '/containers/%zz/start'), /invalid path parameter id/);
});

test('HEAD is answered by GET, another method is not found', () => {
  assert.equal(router.match('HEAD', '/images/json').handle, first);
  assert.throws(() => router.match('DELETE', '/images/json'), { kind: 'NotFound' });
});

test('versions 1.24 to 1.51 and none are served, others are refused by name', () => {
  assert.deepEqual(splitVersion('/v1.24/info'), { version: '1.24', path: '/info' });
  assert.deepEqual(splitVersion('/info'), { version: '1.51', path: '/info' });
  assert.throws(() => splitVersion('/v1.23/info'), /client version 1.23 is too old/);
  assert.throws(() => splitVersion('/v1.52/info'), /client version 1.52 is too new/);
});
