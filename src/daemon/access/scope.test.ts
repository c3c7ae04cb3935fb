import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessScope, type ScopeSettings } from './scope.ts';

function scope(settings: Partial<ScopeSettings>): AccessScope {
  return new AccessScope({
    name: 'test',
    readOnly: false,
    allow: [],
    labels: [],
    mountRoots: [],
    images: [],
    networks: [],
    ...settings,
  });
}

test('operations: by name, by group, and none by default', () => {
  assert.equal(scope({}).operations.size, 0);
  const group = scope({ allow: ['networks.*', 'ping'] });
  assert.ok(group.allows('networks.create') && group.allows('networks.list') && group.allows('ping'));
  assert.ok(!group.allows('volumes.list'));
  for (const wrong of ['*', 'networks', 'networks.fly', 'sockets.*', 'sockets.create', 'system.check', '']) {
    assert.throws(() => scope({ allow: [wrong] }), {
      kind: 'InvalidParameter',
      message: /invalid operation/,
    });
  }
});

test('labels: all must be there; new objects get them and keep no other value', () => {
  const one = scope({ labels: ['project=x', 'team'] });
  assert.ok(one.includes({ project: 'x', team: 'anything' }));
  assert.ok(!one.includes({ project: 'x' }));
  assert.ok(!one.includes({ project: 'y', team: '' }));
  assert.ok(!one.includes(null));
  assert.deepEqual(one.withLabels({ a: 'b' }), { a: 'b', project: 'x', team: '' });
  assert.deepEqual(one.withLabels({ team: 'mine' }), { team: 'mine', project: 'x' });
  assert.equal(one.withLabels({ project: 'y' }), undefined);
  assert.deepEqual(one.labelFilter, ['project=x', 'team']);
});

test('labels that every object has, or that events cannot tell from their own attributes, are refused', () => {
  for (const label of ['', '=x', '__proto__=x', 'name=x', 'image', 'exitCode=0']) {
    assert.throws(() => scope({ labels: [label] }), { kind: 'InvalidParameter', message: /invalid label/ });
  }
  assert.ok(!scope({ labels: ['constructor'] }).includes({}));
});

test('images: patterns match names whole and without tag or digest', () => {
  const images = scope({ images: ['busybox', 'localhost:5000/ci/*'] });
  assert.ok(images.includesImage(['busybox:1.36']));
  assert.ok(images.includesImage(['localhost:5000/ci/app:1', 'other']));
  assert.ok(images.includesImage([`busybox@sha256:${'a'.repeat(64)}`]));
  assert.ok(!images.includesImage(['localhost:5000/other/app', 'evil/busybox', 'busybox2']));
  assert.throws(() => scope({ images: ['['] }), { kind: 'InvalidParameter' });
});
