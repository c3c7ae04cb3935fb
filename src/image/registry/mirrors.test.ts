import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMirror } from './mirrors.ts';

test('a URL alone is a mirror of Docker Hub, HOST=URL one of that registry', () => {
  assert.deepEqual(parseMirror('https://m.example/'), {
    registry: 'docker.io',
    baseUrl: 'https://m.example',
  });
  for (const name of ['docker.io', 'index.docker.io', 'registry-1.docker.io']) {
    assert.equal(parseMirror(`${name}=http://m:5000`).registry, 'docker.io');
  }
  const other = { registry: 'ghcr.io', baseUrl: 'https://m.example/ghcr' };
  assert.deepEqual(parseMirror('GHCR.io=https://m.example/ghcr/'), other);
  assert.equal(parseMirror('127.0.0.1:5000=http://m').registry, '127.0.0.1:5000');
  assert.equal(parseMirror('[::1]:5000=http://m').registry, '[::1]:5000');
});

test('mirrors that cannot be used', () => {
  for (const value of [
    'm.example',
    'ftp://m.example',
    'https://m.example/?a=b',
    'https://joe:pw@m.example',
    '=https://m.example',
    'a b=https://m.example',
    'ghcr.io=',
    'ghcr.io=m.example',
    'ghcr.io=https://u:p@m.example',
  ]) {
    assert.throws(() => parseMirror(value), { kind: 'InvalidParameter', message: /^invalid mirror/ }, value);
  }
});
