import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRuntimes, OWN_RUNTIME, Runtimes, refuseIdMaps, refuseUserNamespace } from './runtimes.ts';

const shell = { path: '/bin/sh', runtimeArgs: ['--debug'] };

function runtimes(configured: Record<string, typeof shell> = {}, defaultRuntime = OWN_RUNTIME): Runtimes {
  return new Runtimes({ runtimes: configured, defaultRuntime }, '/run/own');
}

test('a container that names none has the default; Docker’s names are taken', () => {
  const plain = runtimes({ crun: shell }, 'crun');
  for (const asked of [undefined, '', 'io.containerd.runc.v2']) assert.equal(plain.nameFor(asked), 'crun');
  assert.equal(plain.nameFor('runc'), 'runc');
  assert.equal(plain.nameFor(OWN_RUNTIME), OWN_RUNTIME);
  assert.throws(() => plain.nameFor('kata'), /^InvalidParameter.*: unknown or invalid runtime name: kata/);
});

test('runc is our own where it is not configured, and itself where it is', () => {
  assert.equal(runtimes().find('runc'), undefined);
  assert.deepEqual(runtimes({ runc: shell }).find('runc'), {
    name: 'runc',
    path: '/bin/sh',
    runtimeArgs: ['--debug'],
  });
  assert.equal(runtimes({ runc: shell }).find(OWN_RUNTIME), undefined);
  // Records of before runtimes were kept.
  assert.equal(runtimes({ runc: shell }, 'runc').find(''), undefined);
});

test('a name alone is looked up in the PATH', () => {
  const named = runtimes({ sh: { path: 'sh', runtimeArgs: [] } }).find('sh');
  assert.match(named?.path ?? '', /^\/.*\/sh$/);
  const missing = runtimes({ x: { path: 'no-such-runtime', runtimeArgs: [] }, y: shell });
  assert.deepEqual(missing.missing(), [{ name: 'x', path: 'no-such-runtime' }]);
});

test('configurations that cannot be are refused by name', () => {
  const check = (
    configured: Record<string, { path: string; runtimeArgs: string[] }>,
    name = OWN_RUNTIME,
  ): void => checkRuntimes({ runtimes: configured, defaultRuntime: name });
  check({ crun: shell }, 'crun');
  check({}, 'runc');
  assert.throws(() => check({}, 'crun'), /specified default runtime 'crun' does not exist/);
  assert.throws(() => check({ [OWN_RUNTIME]: shell }), /runtime name 'mydock-runtime' is reserved/);
  assert.throws(() => check({ 'a/b': shell }), /invalid runtime name "a\/b"/);
  assert.throws(() => check({ a: { path: './a', runtimeArgs: [] } }), /path "\.\/a" is not absolute/);
});

test('what others cannot do is refused for them alone', () => {
  const foreign = { name: 'crun', path: '/usr/bin/crun', runtimeArgs: [] };
  const mounts = [{ destination: '/a' }, { destination: '/b', idmap: 'owner' }];
  refuseIdMaps(undefined, mounts);
  refuseIdMaps(foreign, [{ destination: '/a', idmap: '' }]);
  assert.throws(() => refuseIdMaps(foreign, mounts), /idmap of the mount at \/b needs .* has crun/);
  refuseUserNamespace(undefined);
  assert.throws(() => refuseUserNamespace(foreign), /--userns host .* has crun/);
});

test('the default is known by each of its names, and nothing else is', () => {
  const all = ['runc', 'io.containerd.runc.v2', OWN_RUNTIME, 'kata', 'other'];
  const defaults = (one: Runtimes): string[] => all.filter((name) => one.isDefault(name));
  assert.deepEqual(defaults(runtimes()), ['runc', 'io.containerd.runc.v2', OWN_RUNTIME]);
  assert.deepEqual(defaults(runtimes({ runc: shell })), ['io.containerd.runc.v2', OWN_RUNTIME]);
  assert.deepEqual(defaults(runtimes({ kata: shell }, 'kata')), ['io.containerd.runc.v2', 'kata']);
});
