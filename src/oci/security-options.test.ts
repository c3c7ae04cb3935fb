import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostConfig } from '../api/host-config.ts';
import { checkSystemPaths, systemPaths } from './masked-paths.ts';
import { MASKED_PATHS, READONLY_PATHS } from './mounts.ts';
import { parseSecurityOptions } from './security-options.ts';
import { selinuxLabels } from './selinux.ts';

const FACTS = { thermalPaths: ['/sys/devices/system/cpu/cpu0/thermal_throttle'] };

function paths(hostConfig: HostConfig) {
  return systemPaths(hostConfig, parseSecurityOptions(hostConfig.SecurityOpt ?? []), FACTS);
}

test("Docker's words, with both separators", () => {
  assert.deepEqual(parseSecurityOptions(['no-new-privileges', 'seccomp:unconfined', 'apparmor=x']), {
    noNewPrivileges: true,
    seccomp: 'unconfined',
    apparmor: 'x',
    mask: [],
    unmask: [],
  });
  assert.equal(parseSecurityOptions(['no-new-privileges=false']).noNewPrivileges, false);
  assert.equal(parseSecurityOptions([]).noNewPrivileges, undefined);
  assert.equal(parseSecurityOptions(['writable-cgroups=true']).writableCgroups, true);
});

test('words that mean nothing are refused', () => {
  for (const [option, message] of [
    ['nonsense', 'invalid --security-opt 1: "nonsense"'],
    ['a=b', 'invalid --security-opt 2: "a=b"'],
    ['no-new-privileges=maybe', 'invalid --security-opt 2: "no-new-privileges=maybe"'],
    ['systempaths=some', 'invalid --security-opt 2: "systempaths=some"'],
    ['mask=proc', 'invalid --security-opt 2: "mask=proc": "proc" is no absolute path'],
    ['unmask=/proc/../x', 'invalid --security-opt 2: "unmask=/proc/../x": "/proc/../x" is no absolute path'],
    ['label=color:red', 'invalid --security-opt 2: "label=color:red": Bad label option "color:red"'],
    ['label=type:a b', 'invalid --security-opt 2: "label=type:a b": Bad label option "type:a b"'],
  ] as const) {
    assert.throws(() => parseSecurityOptions([option]), { message });
  }
});

test('what is masked and read-only', () => {
  assert.deepEqual(paths({}), {
    maskedPaths: [...MASKED_PATHS, ...FACTS.thermalPaths],
    readonlyPaths: [...READONLY_PATHS],
  });
  const none = { maskedPaths: [], readonlyPaths: [] };
  assert.deepEqual(paths({ Privileged: true }), none);
  assert.deepEqual(paths({ SecurityOpt: ['systempaths=unconfined'] }), none);
  assert.deepEqual(paths({ SecurityOpt: ['unmask=ALL'] }), none);
  assert.deepEqual(paths({ MaskedPaths: ['/a'], ReadonlyPaths: [] }), {
    maskedPaths: ['/a'],
    readonlyPaths: [],
  });
  assert.deepEqual(paths({ SecurityOpt: ['unmask=ALL', 'mask=/proc/a/:/b'] }).maskedPaths, ['/proc/a', '/b']);
});

test('unmask takes paths and patterns that stay within a folder', () => {
  const { maskedPaths, readonlyPaths } = paths({ SecurityOpt: ['unmask=/proc/*:/sys/firmware'] });
  assert.deepEqual(maskedPaths, ['/sys/devices/virtual/powercap', ...FACTS.thermalPaths]);
  assert.deepEqual(readonlyPaths, []);
  assert.ok(paths({ SecurityOpt: ['unmask=/proc'] }).maskedPaths.includes('/proc/kcore'));
  assert.ok(!paths({ SecurityOpt: ['unmask=/proc/kc?re'] }).maskedPaths.includes('/proc/kcore'));
});

test('paths over the API must be absolute', () => {
  assert.throws(() => checkSystemPaths({ MaskedPaths: ['x'] }), { message: /"x" in MaskedPaths/ });
  assert.throws(() => checkSystemPaths({ ReadonlyPaths: ['/a/../b'] }), { message: /in ReadonlyPaths/ });
});

test('SELinux labels: the policy, the options, and a level that an ID keeps', () => {
  const contexts = 'process = "system_u:system_r:box_t:s0"\nfile = "system_u:object_r:box_file_t:s0"\n';
  const labels = (...options: string[]) =>
    selinuxLabels(parseSecurityOptions(options).label, 'f00', contexts);
  assert.equal(labels(), undefined);
  assert.equal(labels('label=type:x_t', 'label=disable'), undefined);
  const named = labels('label=type:x_t', 'label=level:s0:c1,c2', 'label=filetype:y_t', 'label=user:u');
  assert.deepEqual(named, { process: 'u:system_r:x_t:s0:c1,c2', mount: 'u:object_r:y_t:s0:c1,c2' });
  const own = labels('label=role:r');
  assert.match(own?.process ?? '', /^system_u:r:box_t:s0:c\d+,c\d+$/);
  assert.equal(own?.mount, `system_u:object_r:box_file_t:${own?.process.split(':').slice(3).join(':')}`);
  assert.deepEqual(labels('label=role:r'), own);
  assert.notDeepEqual(
    selinuxLabels({ disable: false }, 'f01', contexts),
    selinuxLabels({ disable: false }, 'f00', contexts),
  );
});
