import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CGROUPFS, cgroupDirectory, checkCgroupParent, containerCgroupsPath } from './cgroup-path.ts';

test('cgroupfs: the container’s parent, the daemon’s, ours; none climbs', () => {
  assert.equal(containerCgroupsPath('x', undefined, CGROUPFS), '/mydock/x');
  assert.equal(containerCgroupsPath('x', '', { driver: 'cgroupfs', parent: '/all' }), '/all/x');
  assert.equal(containerCgroupsPath('x', 'own', { driver: 'cgroupfs', parent: '/all' }), '/own/x');
  assert.equal(containerCgroupsPath('x', '../../a', CGROUPFS), '/a/x');
});

test('systemd: slices, and the folders that they are', () => {
  const systemd = { driver: 'systemd', parent: '' } as const;
  assert.equal(containerCgroupsPath('x', '', systemd), 'system.slice:mydock:x');
  assert.equal(containerCgroupsPath('x', 'a-b.slice', systemd), 'a-b.slice:mydock:x');
  assert.equal(cgroupDirectory('a-b-c.slice:mydock:x'), '/a.slice/a-b.slice/a-b-c.slice/mydock-x.scope');
  assert.equal(cgroupDirectory(':mydock:x'), '/system.slice/mydock-x.scope');
  assert.equal(cgroupDirectory('-.slice::x'), '/x.scope');
  assert.equal(cgroupDirectory('/mydock/x'), '/mydock/x');
});

test('parents that a driver cannot use', () => {
  checkCgroupParent('/any/where', 'cgroupfs');
  checkCgroupParent('a-b.slice', 'systemd');
  checkCgroupParent('-.slice', 'systemd');
  assert.throws(() => checkCgroupParent('/a', 'systemd'), /valid slice named as "xxx.slice"/);
  assert.throws(() => checkCgroupParent('.slice', 'systemd'), /valid slice/);
  for (const parent of ['a--b.slice', '-a.slice', 'a/b.slice', 'a:b.slice', '../a.slice']) {
    assert.throws(() => checkCgroupParent(parent, 'systemd'), /no name of a systemd slice/);
  }
  assert.throws(() => checkCgroupParent('a:b', 'cgroupfs'), /contains ":"/);
});
