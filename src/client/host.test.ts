import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseHost, DEFAULT_SOCKET, parseHost } from './host.ts';

test('the flag goes before MYDOCK_HOST, and that before DOCKER_HOST', () => {
  const env = { MYDOCK_HOST: 'unix:///m', DOCKER_HOST: 'unix:///d' };
  assert.equal(chooseHost('unix:///f', env).host.url, 'unix:///f');
  assert.equal(chooseHost(undefined, env).host.url, 'unix:///m');
  assert.equal(chooseHost(undefined, { ...env, MYDOCK_HOST: '' }).host.url, 'unix:///d');
  const byDefault = chooseHost(undefined, {});
  assert.equal(byDefault.host.url, `unix://${DEFAULT_SOCKET}`);
  assert.equal(byDefault.configured, false);
});

test('addresses are read', () => {
  assert.deepEqual(parseHost('tcp://h'), {
    kind: 'tcp',
    url: 'tcp://h',
    hostname: 'h',
    port: 2375,
    basePath: '',
  });
  const six = parseHost('tcp://[::1]:80/base');
  assert.deepEqual(six, {
    kind: 'tcp',
    url: 'tcp://[::1]:80/base',
    hostname: '::1',
    port: 80,
    basePath: '/base',
  });
  const ssh = parseHost('ssh://me@h:22/run/x.sock');
  assert.equal(ssh.kind === 'ssh' && ssh.destination, 'me@h');
  assert.equal(ssh.kind === 'ssh' && ssh.port, 22);
  assert.equal(ssh.kind === 'ssh' && ssh.socket, '/run/x.sock');
});

test('addresses that would mislead are refused', () => {
  for (const bad of ['foo://x', 'ssh://', 'ssh://me:secret@h', 'ssh://-oProxyCommand=x/y', 'tcp://a b']) {
    assert.throws(() => parseHost(bad), /unable to parse docker host/, bad);
  }
});
