import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { containerDevices, deviceNumbers, mappedDevices, parseDeviceRule } from './devices.ts';
import { lookupAdditionalGroups, lookupUser } from './user.ts';

const PASSWD =
  '# comment\nroot:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:100::/home/ann:\n1000:x:7:7::/odd:\n';
const GROUP = 'root:x:0:\nusers:x:100:ann\ndev:x:200:bob,ann\n';

test('users by name, number, with and without a group', () => {
  const look = (spec: string) => lookupUser(spec, PASSWD, GROUP);
  assert.deepEqual(look(''), { uid: 0, gid: 0, groups: [], home: '/root' });
  assert.deepEqual(look('ann'), { uid: 1000, gid: 100, groups: [100, 200], home: '/home/ann' });
  assert.deepEqual(look('1000'), { uid: 1000, gid: 100, groups: [100, 200], home: '/home/ann' });
  assert.deepEqual(look('ann:dev'), { uid: 1000, gid: 200, groups: [], home: '/home/ann' });
  assert.deepEqual(look('4242:5'), { uid: 4242, gid: 5, groups: [], home: '/' });
  assert.deepEqual(look('4242'), { uid: 4242, gid: 0, groups: [], home: '/' });
  assert.throws(() => look('foo'), {
    message: 'unable to find user foo: no matching entries in passwd file',
  });
  assert.throws(() => look('ann:foo'), {
    message: 'unable to find group foo: no matching entries in group file',
  });
  assert.throws(() => look('2147483648'), /uids and gids must be in range 0-2147483647/);
  assert.throws(() => look('-1'), /uids and gids must be in range/);
  assert.deepEqual(lookupUser('', '', ''), { uid: 0, gid: 0, groups: [], home: '/' });
  assert.deepEqual(lookupAdditionalGroups(['dev', '200', '9'], GROUP), [200, 9]);
});

test('devices: a node, a link, a folder, and what is none', () => {
  const [device] = mappedDevices({
    PathOnHost: '/dev/null',
    PathInContainer: '/dev/n',
    CgroupPermissions: 'r',
  }).devices;
  assert.deepEqual(
    { ...device, fileMode: 0 },
    { path: '/dev/n', type: 'c', major: 1, minor: 3, fileMode: 0, uid: 0, gid: 0 },
  );
  const folder = mkdtempSync(join(tmpdir(), 'devices-'));
  try {
    assert.throws(
      () => mappedDevices({ PathOnHost: folder, PathInContainer: '', CgroupPermissions: '' }),
      /error gathering device information while adding custom device ".*": not a device node/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
  assert.throws(
    () => mappedDevices({ PathOnHost: '/dev/null', PathInContainer: '', CgroupPermissions: 'x' }),
    /invalid device mode: x/,
  );
  assert.deepEqual(parseDeviceRule('c 42:* rmw'), { allow: true, type: 'c', major: 42, access: 'rmw' });
  assert.throws(() => parseDeviceRule('x 1:1 r'), {
    message: "invalid device cgroup rule format: 'x 1:1 r'",
  });
  const rules = containerDevices({
    privileged: false,
    mappings: [{ PathOnHost: '/dev/zero', PathInContainer: '/dev/zero', CgroupPermissions: 'rw' }],
    rules: ['b 8:0 r'],
  }).rules;
  assert.deepEqual(rules[0], { allow: false, access: 'rwm' });
  assert.deepEqual(rules.slice(-2), [
    { allow: true, type: 'c', major: 1, minor: 5, access: 'rw' },
    { allow: true, type: 'b', major: 8, minor: 0, access: 'r' },
  ]);
});

test('device numbers beyond eight bits', () => {
  // makedev(259, 70000): major's low 12 bits at 8, minor's low 8 at 0 and the rest at 20.
  assert.deepEqual(deviceNumbers({ rdev: (259n << 8n) | (70000n & 0xffn) | ((70000n & ~0xffn) << 12n) }), {
    major: 259,
    minor: 70000,
  });
});
