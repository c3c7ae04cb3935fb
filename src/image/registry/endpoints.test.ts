import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InternalError } from '../../base/errors.ts';
import { endpointAuth, isInsecure, mayFallBack, pullEndpoints } from './endpoints.ts';
import { codedError, TransportError } from './errors.ts';

const NONE = { mirrors: [], insecureRegistries: [] };

test('a mirror without a registry is Docker Hub’s', async () => {
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

test('a registry that answered over TLS is not asked in plain text', () => {
  const registry = { baseUrl: 'https://x', mirror: false, insecure: true };
  const refused = new TransportError('refused', 'ECONNREFUSED');
  assert.equal(mayFallBack(refused, registry, false), true);
  assert.equal(mayFallBack(refused, registry, true), false);
  assert.equal(mayFallBack(codedError(404, 'MANIFEST_UNKNOWN'), registry, false), false);
  assert.equal(mayFallBack(codedError(404, 'MANIFEST_UNKNOWN'), { ...registry, mirror: true }, true), true);
});

test('a mirror may fail in any way, but what fails on this machine fails for all', () => {
  const mirror = { baseUrl: 'https://m', mirror: true, insecure: false };
  for (const error of [
    codedError(401, 'UNAUTHORIZED'),
    codedError(403, 'DENIED'),
    codedError(404, 'MANIFEST_UNKNOWN'),
    codedError(429, 'TOOMANYREQUESTS'),
    codedError(503, 'UNAVAILABLE'),
    new TransportError('stalled', 'STALLED'),
    new InternalError('manifest verification failed for digest sha256:0'),
  ]) {
    assert.equal(mayFallBack(error, mirror, true), true, error.message);
  }
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  assert.equal(mayFallBack(full, mirror, true), false);
  assert.equal(mayFallBack(new InternalError('cannot store', full), mirror, true), false);
});

test('other registries have mirrors of their own, in order', async () => {
  const mirrors = ['https://hub', 'ghcr.io=https://a', 'ghcr.io=http://192.0.2.1/x/', 'quay.io=https://q'];
  const urls = async (domain: string) =>
    (await pullEndpoints(domain, { ...NONE, mirrors })).map(({ baseUrl }) => baseUrl);
  assert.deepEqual(await urls('ghcr.io'), ['https://a', 'http://192.0.2.1/x', 'https://ghcr.io']);
  assert.deepEqual(await urls('docker.io'), ['https://hub', 'https://registry-1.docker.io']);
  assert.deepEqual(await urls('other.example'), ['https://other.example']);
});

test('a mirror sees only the credentials of its own host', () => {
  const registry = { baseUrl: 'https://registry-1.docker.io', mirror: false, insecure: false };
  const mirror = { baseUrl: 'https://m.example/hub', mirror: true, insecure: false };
  const hub = { username: 'hub', password: 'p', serveraddress: 'https://index.docker.io/v1/' };
  const own = { username: 'mirror', password: 'p' };
  const authConfigs = { 'm.example': own, 'https://index.docker.io/v1/': hub };
  assert.equal(endpointAuth(registry, 'docker.io', { auth: hub, authConfigs }), hub);
  assert.equal(endpointAuth(registry, 'docker.io', { authConfigs }), hub);
  assert.equal(endpointAuth(mirror, 'docker.io', { auth: hub, authConfigs }), own);
  assert.deepEqual(endpointAuth(mirror, 'docker.io', { auth: hub }), {});
  assert.deepEqual(endpointAuth(mirror, 'docker.io', { auth: own }), {});
  const named = { ...own, serveraddress: 'm.example' };
  assert.equal(endpointAuth(mirror, 'docker.io', { auth: named }), named);
});
