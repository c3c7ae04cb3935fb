import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig } from '../api/containers.ts';
import type { HostConfig } from '../api/host-config.ts';
import { EngineError } from '../base/errors.ts';
import { testFacts } from './host-facts-fixture.ts';
import { validateCreate } from './validate.ts';

function refused(hostConfig: HostConfig, message: string | RegExp, config: ContainerConfig = {}) {
  assert.throws(
    () => validateCreate(config, hostConfig, testFacts()),
    (error: unknown) => {
      assert.ok(error instanceof EngineError);
      assert.equal(error.kind, 'InvalidParameter');
      if (typeof message === 'string') assert.equal(error.message, message);
      else assert.match(error.message, message);
      return true;
    },
    JSON.stringify(hostConfig),
  );
}

test('wrong limits are refused in the words that scripts know', () => {
  refused({ Memory: 1 }, 'Minimum memory limit allowed is 6MB');
  refused({ Memory: -1 }, 'Minimum memory limit allowed is 6MB');
  refused(
    { Memory: 64 << 20, MemorySwap: 32 << 20 },
    'Minimum memoryswap limit should be larger than memory limit, see usage',
  );
  refused({ MemorySwap: 64 << 20 }, /You should always set the Memory limit/);
  refused({ MemoryReservation: 5 }, 'Minimum memory reservation allowed is 6MB');
  refused({ MemorySwappiness: 101 }, 'Invalid value: 101, valid memory swappiness range is 0-100');
  refused({ NanoCpus: 5e9 }, 'range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available');
  refused({ NanoCpus: -1 }, /range of CPUs is from 0.01 to 4.00/);
  refused({ NanoCpus: 1e9, CpuPeriod: 1000 }, /Conflicting options: Nano CPUs and CPU Period/);
  refused({ NanoCpus: 1e9, CpuQuota: 1000 }, /Conflicting options: Nano CPUs and CPU Quota/);
  refused({ CpuPeriod: 10 }, /CPU cfs period/);
  refused({ CpuQuota: 10 }, /CPU cfs quota/);
  refused({ CpuShares: -5 }, 'invalid CPU shares (-5): value must be a positive integer');
  refused({ CpusetCpus: '0-9' }, 'Requested CPUs are not available - requested 0-9, available: 0-3');
  refused({ CpusetCpus: 'a' }, 'Invalid value a for cpuset cpus');
  refused({ BlkioWeight: 5 }, 'Range of blkio weight is from 10 to 1000');
  refused({ PidsLimit: -2 }, /Invalid PidsLimit -2/);
  refused({ ShmSize: -1 }, 'SHM size can not be less than 0');
  refused({ OomScoreAdj: 1001 }, 'Invalid value 1001, range for oom score adj is [-1000, 1000]');
  refused({ Ulimits: [{ Name: 'files', Soft: 1, Hard: 1 }] }, 'invalid ulimit type: files');
  refused(
    { Ulimits: [{ Name: 'nofile', Soft: 2, Hard: 1 }] },
    /soft limit must be less than or equal to hard/,
  );
});

test('wrong words and conflicts are refused', () => {
  refused({ CapAdd: ['FOO'] }, 'invalid CapAdd: unknown capability: "CAP_FOO"');
  refused({ CapDrop: ['cap_bar'] }, 'invalid CapDrop: unknown capability: "CAP_BAR"');
  refused({ SecurityOpt: ['x'] }, 'invalid --security-opt 1: "x"');
  refused({ SecurityOpt: ['x=y'] }, 'invalid --security-opt 2: "x=y"');
  refused({ SecurityOpt: ['seccomp={'] }, /decoding seccomp profile failed/);
  refused({ RestartPolicy: { Name: 'no', MaximumRetryCount: 1 } }, /can only be used with 'on-failure'/);
  refused(
    { RestartPolicy: { Name: 'sometimes' as 'no' } },
    /unknown policy 'sometimes'; use one of 'no', 'always'/,
  );
  refused({ AutoRemove: true, RestartPolicy: { Name: 'always' } }, /can't create 'AutoRemove'/);
  refused({ PidMode: 'container:' }, 'invalid PID mode: container:');
  refused({ IpcMode: 'odd' }, 'invalid IPC mode: odd');
  refused({ UTSMode: 'odd' }, 'invalid UTS mode: odd');
  refused({ NetworkMode: 'container:' }, /invalid container format/);
  refused(
    { NetworkMode: 'container:a', PortBindings: { '80/tcp': [] } },
    'conflicting options: port publishing and the container type network mode',
  );
  refused({ NetworkMode: 'container:a' }, 'conflicting options: hostname and the network mode', {
    Hostname: 'h',
  });
  refused({ NetworkMode: 'container:a', Links: ['a:b'] }, /container type network can't be used with links/);
  refused({ NetworkMode: 'host', Links: ['a:b'] }, /host type networking can't be used with links/);
  refused({ UTSMode: 'host' }, 'conflicting options: hostname and the UTS mode', { Hostname: 'h' });
  refused({ ExtraHosts: ['a'] }, 'bad format for add-host: "a"');
  refused({ ExtraHosts: ['a:b'] }, 'invalid IP address in add-host: "b"');
  refused({ Tmpfs: { a: '' } }, "invalid mount path: 'a' mount path must be absolute");
  refused({ Tmpfs: { '/a': 'lower=1' } }, 'Invalid tmpfs option "lower=1"');
  refused({ Sysctls: { 'kernel.panic': '1' } }, "sysctl 'kernel.panic' is not whitelisted");
  refused(
    { Sysctls: { 'net.core.somaxconn': '1' }, NetworkMode: 'host' },
    /not allowed in host network namespace/,
  );
  refused({ Sysctls: { 'kernel.sem': '1' }, IpcMode: 'host' }, /not allowed in host ipc namespace/);
  refused({ Sysctls: { 'net/../kernel/panic': '1' } }, /invalid sysctl/);
  refused({}, /the working directory 'a' is invalid/, { WorkingDir: 'a' });
  refused({ UsernsMode: 'private' }, /invalid user namespace mode "private"/);
  refused({}, 'invalid signal: FOO', { StopSignal: 'FOO' });
  refused({}, 'invalid environment variable: =x', { Env: ['=x'] });
});

test('security options that this host cannot honour are said to be discarded', () => {
  const { warnings } = validateCreate({}, { SecurityOpt: ['label=type:x', 'apparmor=y'] }, testFacts());
  assert.deepEqual(
    warnings.filter((text) => text.includes('discarded')),
    [
      'AppArmor is not available on this host. The AppArmor profile was discarded.',
      'SELinux is not available on this host. The SELinux labels were discarded.',
    ],
  );
  assert.throws(() => validateCreate({}, { GroupAdd: ['keep-groups'] }, testFacts()), {
    message: 'invalid group "keep-groups": name the groups to add',
  });
});

test('what is not built is refused by name', () => {
  const asked: [HostConfig, RegExp][] = [[{ Cgroup: 'container:x' }, /cgroup "container:x"/]];
  for (const [hostConfig, message] of asked) {
    assert.throws(
      () => validateCreate({}, hostConfig, testFacts()),
      (error: unknown) =>
        error instanceof EngineError && error.kind === 'NotImplemented' && message.test(error.message),
      JSON.stringify(hostConfig),
    );
  }
});

test('what the host lacks is dropped with a warning, and the request stays as it was', () => {
  const request: HostConfig = {
    Memory: 64 << 20,
    PidsLimit: 5,
    NetworkMode: 'host',
    PortBindings: { '1/tcp': [] },
  };
  const facts = testFacts({}, { memory: false, pids: false });
  const { hostConfig, warnings } = validateCreate({}, request, facts);
  assert.equal(hostConfig.Memory, 0);
  assert.equal(hostConfig.PidsLimit, null);
  assert.equal(request.Memory, 64 << 20);
  assert.deepEqual(warnings, [
    'Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    'Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.',
    'Published ports are discarded when using host network mode',
  ]);
});

test('what the docker program sends for a plain run passes without a warning', () => {
  const { hostConfig, warnings } = validateCreate(
    { Hostname: '', Env: null, Cmd: ['true'], Volumes: {}, Labels: {} },
    {
      Binds: null,
      LogConfig: { Type: '', Config: {} },
      NetworkMode: 'default',
      PortBindings: {},
      RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
      CapAdd: null,
      MemorySwappiness: -1,
      OomKillDisable: false,
      PidsLimit: 0,
      Ulimits: [],
      MaskedPaths: null,
      Isolation: '',
      ConsoleSize: [24, 80],
    },
    testFacts(),
  );
  assert.deepEqual(warnings, []);
  assert.equal(hostConfig.ShmSize, 64 << 20);
  assert.equal(hostConfig.IpcMode, 'private');
  assert.equal(hostConfig.CgroupnsMode, 'private');
});
