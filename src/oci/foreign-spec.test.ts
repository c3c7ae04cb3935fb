import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foreignSpecText } from './foreign-spec.ts';
import { OCI_VERSION, type Spec } from './runtime-spec.ts';

const spec: Spec = {
  ociVersion: OCI_VERSION,
  process: {
    args: ['sh'],
    cwd: '/',
    user: { uid: 0, gid: 0 },
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: 1024, hard: -1 },
      { type: 'RLIMIT_CORE', soft: -1, hard: -1 },
    ],
  },
};

test('unlimited is the largest unsigned number, digit by digit', () => {
  const text = foreignSpecText(spec);
  assert.match(text, /"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615/);
  assert.match(text, /"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615/);
});

test('no limit of memory stays the signed -1', () => {
  const text = foreignSpecText({ ...spec, linux: { resources: { memory: { limit: 1, swap: -1 } } } });
  assert.match(text, /"swap":-1/);
});

test('a domain name becomes the sysctl that older runtimes know, which the container’s own overrides', () => {
  const named = JSON.parse(foreignSpecText({ ...spec, domainname: 'example', linux: {} })) as Spec;
  assert.equal(named.domainname, undefined);
  assert.deepEqual(named.linux?.sysctl, { 'kernel.domainname': 'example' });
  const both = { ...spec, domainname: 'a', linux: { sysctl: { 'kernel.domainname': 'b', 'net.x': '1' } } };
  assert.deepEqual((JSON.parse(foreignSpecText(both)) as Spec).linux?.sysctl, {
    'kernel.domainname': 'b',
    'net.x': '1',
  });
});

test('a file is read-only by itself, a folder with all that is mounted below it', () => {
  const bind = (source: string) => ({ destination: '/x', type: 'bind', source, options: ['rbind', 'rro'] });
  const mounts = [bind('/etc/passwd'), bind('/etc')];
  const written = JSON.parse(foreignSpecText({ ...spec, mounts })) as Spec;
  assert.deepEqual(
    written.mounts?.map(({ options }) => options?.[1]),
    ['ro', 'rro'],
  );
});

test('the version is one that crun takes', () => {
  assert.match((JSON.parse(foreignSpecText(spec)) as Spec).ociVersion, /^1\.0/);
});
