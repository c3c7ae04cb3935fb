import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostConfig } from '../../api/host-config.ts';
import { CAPABILITIES, DEFAULT_CAPABILITIES } from '../../oci/capabilities.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../../oci/mounts.ts';
import { HOST_CONFIG } from '../routes/containers/create-request.ts';
import { excessInside, excessOfConfig, excessOfHostConfig } from './create-policy.ts';

function excess(fields: Record<string, unknown>): string | undefined {
  return excessOfHostConfig(fields as HostConfig);
}

test('every field that gives more than a default container has is refused', () => {
  const attacks: Record<string, unknown>[] = [
    { Privileged: true },
    { NetworkMode: 'host' },
    { PidMode: 'host' },
    { IpcMode: 'host' },
    { UTSMode: 'host' },
    { UsernsMode: 'host' },
    { CgroupnsMode: 'host' },
    { Cgroup: 'container:x' },
    { CapAdd: ['SYS_ADMIN'] },
    { CapAdd: ['cap_sys_ptrace'] },
    { CapAdd: ['ALL'] },
    { Devices: [{ PathOnHost: '/dev/sda' }] },
    { DeviceRequests: [{ Count: -1 }] },
    { DeviceCgroupRules: ['b 8:* rwm'] },
    { SecurityOpt: ['seccomp=unconfined'] },
    { SecurityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'] },
    { SecurityOpt: ['apparmor=unconfined'] },
    { SecurityOpt: ['apparmor:unconfined'] },
    { SecurityOpt: ['label=disable'] },
    { SecurityOpt: ['systempaths=unconfined'] },
    { SecurityOpt: ['unmask=ALL'] },
    { SecurityOpt: ['writable-cgroups=true'] },
    { SecurityOpt: ['writable-cgroups'] },
    { SecurityOpt: ['no-new-privileges=false'] },
    { SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'] },
    { MaskedPaths: [] },
    { ReadonlyPaths: [] },
    { MaskedPaths: MASKED_PATHS.slice(1) },
    { CgroupParent: '/x' },
    { OomScoreAdj: -1 },
    { OomKillDisable: true },
    { Annotations: { 'mydock.egress': 'none' } },
    { LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'unix:///run/x' } } },
    { LogConfig: { Type: '', Config: { 'syslog-address': 'unix:///run/x' } } },
    { VolumeDriver: 'other' },
    { CpuRealtimeRuntime: 1000 },
    { Ulimits: [{ Name: 'rtprio', Hard: 99, Soft: 99 }] },
    { Ulimits: [{ Name: 'NICE', Hard: 40, Soft: 40 }] },
    { PortBindings: { '80/tcp': [{ HostPort: '22' }] } },
    { PortBindings: { '80/tcp': [{ HostPort: '1000-2000' }] } },
    { BlkioDeviceReadBps: [{ Path: '/dev/sda', Rate: 1 }] },
    { StorageOpt: { other: '1' } },
    { Teleport: true },
    { teleport: '' },
    { privileged: true },
    { ['__proto__x']: {} },
  ];
  for (const attack of attacks) assert.equal(typeof excess(attack), 'string', JSON.stringify(attack));
});

test('what containers have anyway, and what holds them closer, is let through', () => {
  const fields: Record<string, unknown>[] = [
    { CapAdd: ['NET_RAW', 'cap_chown'], CapDrop: ['ALL'] },
    { SecurityOpt: ['no-new-privileges', 'no-new-privileges=true', 'seccomp=builtin', 'mask=/proc/x'] },
    { RestartPolicy: { Name: 'always' }, Ulimits: [{ Name: 'nofile', Hard: 1, Soft: 1 }] },
    { PortBindings: { '80/tcp': [{ HostPort: '8080' }, { HostPort: '' }], '81/tcp': null } },
    { OomScoreAdj: 500, Memory: 1024, PidsLimit: 10, CgroupnsMode: 'private', IpcMode: 'shareable' },
    { LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } }, ReadonlyRootfs: true, Init: true },
    { MaskedPaths: [...MASKED_PATHS, '/proc/x'], ReadonlyPaths: [...READONLY_PATHS] },
    { Privileged: false, UTSMode: '', Devices: null, DeviceRequests: [], Annotations: {}, Teleport: null },
  ];
  for (const one of fields) assert.equal(excess(one), undefined, JSON.stringify(one));
});

test('capabilities: exactly the default set can be asked for', () => {
  for (const name of CAPABILITIES) {
    assert.equal(excess({ CapAdd: [name] }) === undefined, DEFAULT_CAPABILITIES.includes(name), name);
  }
});

test('every field of the API has a rule', () => {
  for (const field of Object.keys(HOST_CONFIG.object)) {
    assert.ok(!(excess({ [field]: 'something' }) ?? '').includes(`the field HostConfig.${field}`), field);
  }
});

test('unknown fields of a configuration are refused unless null', () => {
  assert.equal(excessOfConfig({ Image: 'x', Cmd: ['y'] }), undefined);
  assert.match(excessOfConfig({ Image: 'x', Superuser: false } as object) ?? '', /Superuser/);
  assert.equal(excessOfConfig({ Image: 'x', Superuser: null } as object), undefined);
});

test('a container that others made may be entered where nothing of the host is inside it', () => {
  assert.equal(
    excessInside({ LogConfig: { Type: 'journald' }, OomScoreAdj: -5, Runtime: 'crun' }),
    undefined,
  );
  assert.equal(typeof excessInside({ Privileged: true }), 'string');
  assert.equal(typeof excessInside({ PidMode: 'host' }), 'string');
});
