import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerCapabilities, DEFAULT_CAPABILITIES } from './capabilities.ts';
import type { Seccomp } from './runtime-spec.ts';
import { seccompFor } from './seccomp-profile.ts';

const FACTS = { capabilities: DEFAULT_CAPABILITIES, architecture: 'amd64', kernelRelease: '6.12.0' } as const;

function rulesFor(filter: Seccomp | undefined, name: string) {
  return (filter?.syscalls ?? []).filter(({ names }) => names.includes(name));
}

test('the default filter for the default capabilities', () => {
  const filter = seccompFor(undefined, FACTS);
  assert.deepEqual(filter?.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  for (const name of ['read', 'futex_wait', 'chroot', 'ptrace', 'arch_prctl', 'statmount']) {
    assert.ok(rulesFor(filter, name).length > 0, name);
  }
  for (const name of [
    'mount',
    'bpf',
    'reboot',
    'keyctl',
    'io_uring_setup',
    'open_by_handle_at',
    'userfaultfd',
    'add_key',
  ]) {
    assert.deepEqual(rulesFor(filter, name), [], name);
  }
  assert.deepEqual(rulesFor(filter, 'clone')[0]?.args, [
    { index: 0, value: 0x7e020000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' },
  ]);
  assert.deepEqual(rulesFor(filter, 'clone3'), [
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
  ]);
  assert.deepEqual(
    rulesFor(filter, 'personality').map(({ args }) => args?.[0]?.value),
    [0, 8, 0x20000, 0x20008, 0xffffffff],
  );
  const families = rulesFor(filter, 'socket').map(({ args }) => args?.[0]);
  assert.deepEqual(families[0], { index: 0, value: 38, op: 'SCMP_CMP_LT' });
  assert.ok(
    families.slice(1).every((arg) => arg?.op === 'SCMP_CMP_EQ' && arg.value !== 38 && arg.value !== 40),
  );
});

test('capabilities and machine open their calls', () => {
  const capabilities = containerCapabilities({ add: ['SYS_ADMIN', 'sys_time'] });
  const filter = seccompFor('builtin', { ...FACTS, capabilities, architecture: 'arm64' });
  assert.deepEqual(filter?.architectures, ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
  assert.equal(rulesFor(filter, 'mount').length, 1);
  assert.deepEqual(
    rulesFor(filter, 'clone3').map(({ action }) => action),
    ['SCMP_ACT_ALLOW'],
  );
  assert.equal(rulesFor(filter, 'clock_settime').length, 1);
  assert.deepEqual(rulesFor(filter, 'arch_prctl'), []);
  assert.equal(rulesFor(filter, 'cacheflush').length, 1);
});

test('profiles of users: conditions, plain OCI form, none', () => {
  const profile = JSON.stringify({
    defaultAction: 'SCMP_ACT_ALLOW',
    archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: null }],
    syscalls: [
      { name: 'chmod', action: 'SCMP_ACT_ERRNO', args: null },
      { names: ['a'], action: 'SCMP_ACT_KILL', includes: { minKernel: '99.1' } },
      { names: ['b'], action: 'SCMP_ACT_KILL', excludes: { caps: ['CAP_CHOWN'] } },
      { names: ['c'], action: 'SCMP_ACT_KILL', includes: { arches: ['amd64'] } },
    ],
  });
  assert.deepEqual(seccompFor(profile, FACTS), {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: [
      { names: ['chmod'], action: 'SCMP_ACT_ERRNO' },
      { names: ['c'], action: 'SCMP_ACT_KILL' },
    ],
  });
  const plain = {
    defaultAction: 'SCMP_ACT_ERRNO',
    architectures: ['SCMP_ARCH_X86'],
    flags: ['SECCOMP_FILTER_FLAG_LOG'],
    syscalls: [{ names: ['x'], action: 'SCMP_ACT_LOG', args: [{ index: 1, value: 2, op: 'SCMP_CMP_GE' }] }],
  };
  assert.deepEqual(seccompFor(JSON.stringify(plain), FACTS), plain);
  assert.equal(seccompFor('unconfined', FACTS), undefined);
});

test('broken profiles name their field', () => {
  const broken: [object, RegExp][] = [
    [{}, /defaultAction is undefined/],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['x'], action: 'allow' }] },
      /syscalls\[0\].action/,
    ],
    [
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['x'], action: 'SCMP_ACT_LOG', args: [{ index: 6 }] }],
      },
      /args\[0\].index is 6/,
    ],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['a'], archMap: [{}] },
      /both 'architectures' and 'archMap'/,
    ],
  ];
  for (const [profile, message] of broken)
    assert.throws(() => seccompFor(JSON.stringify(profile), FACTS), message);
});

test('a container with a project quota may use every ioctl but those that leave the project', () => {
  const rules = rulesFor(seccompFor(undefined, { ...FACTS, projectQuota: true }), 'ioctl');
  const allowed = (request: bigint): boolean =>
    rules.some(({ args = [] }) =>
      args.every(({ value, valueTwo }) => (request & BigInt(Number(value))) === BigInt(Number(valueTwo))),
    );
  for (const request of [0x401c5820n, 0x40086602n, 0x40046602n]) {
    assert.equal(allowed(request), false);
    assert.equal(allowed(request | 0xffffffff00000000n), false);
    for (let bit = 0n; bit < 32n; bit++) assert.equal(allowed(request ^ (1n << bit)), true);
  }
  for (const request of [0n, 0x401c5821n, 0x001c5820n, 0x5401n, 0xffffffffn, 0x400c6602n, 0x40006602n])
    assert.equal(allowed(request), true);
  assert.ok(rules.length < 64, String(rules.length));
  assert.deepEqual(rulesFor(seccompFor(undefined, FACTS), 'ioctl')[0]?.args, undefined);
  assert.equal(
    rulesFor(seccompFor('{"defaultAction":"SCMP_ACT_ALLOW"}', { ...FACTS, projectQuota: true }), 'ioctl')
      .length,
    0,
  );
});

test('arguments of 64 bits are passed on digit by digit', () => {
  const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"SCMP_ACT_ERRNO","args":[
    {"index":0,"op":"SCMP_CMP_MASKED_EQ","value":18446744069414584320,"valueTwo":9007199254740993}]}]}`;
  const filter = seccompFor(text, FACTS);
  assert.match(JSON.stringify(filter), /"value":18446744069414584320,"valueTwo":9007199254740993/);
  assert.throws(() => seccompFor(text.replace('18446744069414584320', '18446744073709551616'), FACTS), {
    message: /syscalls\[0\]\.args\[0\]\.value is 18446744073709551616/,
  });
});

test('capabilities are added and dropped', () => {
  assert.deepEqual(containerCapabilities({ drop: ['all'], add: ['NET_ADMIN', 'cap_chown'] }), [
    'CAP_NET_ADMIN',
    'CAP_CHOWN',
  ]);
  const allButOne = containerCapabilities({ add: ['ALL'], drop: ['SYS_ADMIN'] });
  assert.equal(allButOne.length, 40);
  assert.ok(!allButOne.includes('CAP_SYS_ADMIN'));
  assert.throws(
    () => containerCapabilities({ add: ['SYS_RESOURCE'], available: DEFAULT_CAPABILITIES }),
    /not available in the current environment: "CAP_SYS_RESOURCE"/,
  );
});
