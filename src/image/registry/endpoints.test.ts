import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isInsecure, mayFallBack, parseMirror, pullEndpoints } from './endpoints.ts';
import { codedError, TransportError } from './errors.ts';

const NONE = { mirrors: [], insecureRegistries: [] };

test('mirrors come before Docker Hub, and only for Docker Hub', async () => {
  const options = { ...NONE, mirrors: ['https://m.example/hub/', 'http://127.0.0.1:5000'] };
  const hub = await pullEndpoints('docker.io', options);
  assert.deepEqual(hub, [
    { baseUrl: 'https://m.example/hub', mirror: true, insecure: false },
    { baseUrl: 'http://127.0.0.1:5000', mirror: true, insecure: true },
    { baseUrl: 'https://registry-1.docker.io', mirror: false, insecure: false },
  ]);
  const other = await pullEndpoints('192.0.2.1:5000', options);
  assert.deepEqual(other, [{ baseUrl: 'https://192.0.2.1:5000', mirror: false, insecure: false }]);
});

test('loopback and listed registries are tried over TLS, then in plain text', async () => {
  const schemes = async (domain: string, insecureRegistries: string[] = []): Promise<string[]> =>
    (await pullEndpoints(domain, { ...NONE, insecureRegistries })).map(
      ({ baseUrl }) => new URL(baseUrl).protocol,
    );
  assert.deepEqual(await schemes('localhost:5000'), ['https:', 'http:']);
  assert.deepEqual(await schemes('127.0.0.1:5000'), ['https:', 'http:']);
  assert.deepEqual(await schemes('192.0.2.7:5000', ['192.0.2.0/24']), ['https:', 'http:']);
  assert.deepEqual(await schemes('192.0.2.7:5000', ['192.0.2.7']), ['https:']);
  assert.equal(await isInsecure('[::1]:5000', []), true);
  assert.equal(await isInsecure('192.0.2.7:5000', ['http://192.0.2.7:5000/']), true);
});

test('mirrors that cannot be used', () => {
  for (const value of [
    'm.example',
    'ftp://m.example',
    'https://m.example/?a=b',
    'https://joe:pw@m.example',
  ]) {
    assert.throws(() => parseMirror(value), { kind: 'InvalidParameter', message: /^invalid mirror/ }, value);
  }
});

test('a registry that answered over TLS is not asked in plain text', () => {
  const registry = { baseUrl: 'https://x', mirror: false, insecure: true };
  const refused = new TransportError('refused', 'ECONNREFUSED');
  assert.equal(mayFallBack(refused, registry, false), true);
  assert.equal(mayFallBack(refused, registry, true), false);
  assert.equal(mayFallBack(codedError(404, 'MANIFEST_UNKNOWN'), registry, false), false);
  assert.equal(mayFallBack(codedError(404, 'MANIFEST_UNKNOWN'), { ...registry, mirror: true }, true), true);
});
