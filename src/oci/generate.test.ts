import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_CAPABILITIES } from './capabilities.ts';
import { DEFAULT_DEVICE_RULES } from './devices.ts';
import { foreignSpecText } from './foreign-spec.ts';
import { generateSpec, type SpecInput } from './generate.ts';
import { testFacts } from './host-facts-fixture.ts';
import { execProcess } from './process.ts';
import { validateCreate } from './validate.ts';

const ACCOUNTS = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/false\n',
  group: 'root:x:0:\nweb:x:33:\nlogs:x:44:web,other\n',
};

function input(change: Partial<SpecInput> = {}): SpecInput {
  const hostConfig = validateCreate({}, change.hostConfig ?? {}, testFacts()).hostConfig;
  return {
    id: 'ab'.repeat(32),
    config: { Cmd: ['sleep', '1'], Entrypoint: ['/entry'], Env: ['A=1', 'PATH=/bin'], Image: 'x' },
    hostname: 'abababababab',
    rootfs: '/run/m/rootfs',
    mounts: [],
    files: { hosts: '/c/hosts', hostname: '/c/hostname', resolvConf: '/c/resolv.conf' },
    namespaces: { network: { path: '/run/netns/x' } },
    initBinary: '/usr/lib/mydock-init',
    accounts: ACCOUNTS,
    host: testFacts(),
    ...change,
    hostConfig,
  };
}

test('the configuration of a plain container is complete', () => {
  const spec = generateSpec(input());
  const { seccomp, ...linux } = spec.linux ?? {};
  assert.equal(seccomp?.defaultAction, 'SCMP_ACT_ERRNO');
  assert.deepEqual(
    { ...spec, linux },
    {
      ociVersion: '1.2.0',
      process: {
        terminal: false,
        user: { uid: 0, gid: 0, additionalGids: [0] },
        args: ['/entry', 'sleep', '1'],
        env: ['PATH=/bin', 'HOSTNAME=abababababab', 'A=1', 'HOME=/root'],
        cwd: '/',
        capabilities: {
          bounding: DEFAULT_CAPABILITIES,
          effective: DEFAULT_CAPABILITIES,
          permitted: DEFAULT_CAPABILITIES,
          inheritable: [],
          ambient: [],
        },
        noNewPrivileges: false,
        oomScoreAdj: 0,
      },
      root: { path: '/run/m/rootfs', readonly: false },
      hostname: 'abababababab',
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
        {
          destination: '/dev',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
        },
        {
          destination: '/dev/pts',
          type: 'devpts',
          source: 'devpts',
          options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
        },
        { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
        {
          destination: '/sys/fs/cgroup',
          type: 'cgroup',
          source: 'cgroup',
          options: ['ro', 'nosuid', 'noexec', 'nodev'],
        },
        {
          destination: '/dev/mqueue',
          type: 'mqueue',
          source: 'mqueue',
          options: ['nosuid', 'noexec', 'nodev'],
        },
        {
          destination: '/dev/shm',
          type: 'tmpfs',
          source: 'shm',
          options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=67108864'],
        },
        {
          destination: '/etc/resolv.conf',
          type: 'bind',
          source: '/c/resolv.conf',
          options: ['rbind', 'rprivate'],
        },
        { destination: '/etc/hostname', type: 'bind', source: '/c/hostname', options: ['rbind', 'rprivate'] },
        { destination: '/etc/hosts', type: 'bind', source: '/c/hosts', options: ['rbind', 'rprivate'] },
      ],
      linux: {
        namespaces: [
          { type: 'mount' },
          { type: 'network', path: '/run/netns/x' },
          { type: 'uts' },
          { type: 'pid' },
          { type: 'ipc' },
          { type: 'cgroup' },
        ],
        cgroupsPath: `/mydock/${'ab'.repeat(32)}`,
        resources: { devices: DEFAULT_DEVICE_RULES },
        sysctl: { 'net.ipv4.ping_group_range': '0 2147483647', 'net.ipv4.ip_unprivileged_port_start': '0' },
        maskedPaths: [
          '/proc/asound',
          '/proc/acpi',
          '/proc/interrupts',
          '/proc/kcore',
          '/proc/keys',
          '/proc/latency_stats',
          '/proc/timer_list',
          '/proc/timer_stats',
          '/proc/sched_debug',
          '/proc/scsi',
          '/sys/firmware',
          '/sys/devices/virtual/powercap',
          '/sys/devices/system/cpu/cpu0/thermal_throttle',
        ],
        readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      },
    },
  );
});

test('privileged lifts masks, filter, read-only mounts and device rules', () => {
  const spec = generateSpec(input({ hostConfig: { Privileged: true } }));
  assert.equal(spec.linux?.seccomp, undefined);
  assert.deepEqual(spec.linux?.maskedPaths, []);
  assert.deepEqual(spec.linux?.readonlyPaths, []);
  assert.deepEqual(spec.linux?.resources?.devices, [{ allow: true, access: 'rwm' }]);
  assert.equal(spec.process?.capabilities?.bounding?.length, 41);
  for (const one of spec.mounts ?? []) assert.ok(!one.options?.includes('ro'), one.destination);
  assert.ok(spec.linux?.devices?.every(({ path }) => path.startsWith('/dev/') && path !== '/dev/null'));
});

test('limits are translated', () => {
  const spec = generateSpec(
    input({
      hostConfig: {
        Memory: 64 << 20,
        MemoryReservation: 32 << 20,
        NanoCpus: 1_500_000_000,
        CpuShares: 512,
        CpusetCpus: '0-1',
        PidsLimit: 100,
        BlkioWeight: 300,
        MemorySwappiness: 0,
        Ulimits: [{ Name: 'nofile', Soft: 1024, Hard: -1 }],
        CgroupParent: '../../outside',
      },
    }),
  );
  const { devices: _, ...resources } = spec.linux?.resources ?? {};
  assert.deepEqual(resources, {
    memory: { limit: 64 << 20, reservation: 32 << 20, swap: 128 << 20, swappiness: 0 },
    cpu: { shares: 512, period: 100_000, quota: 150_000, cpus: '0-1' },
    pids: { limit: 100 },
    blockIO: { weight: 300 },
  });
  assert.deepEqual(spec.process?.rlimits, [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: -1 }]);
  assert.equal(spec.linux?.cgroupsPath, `/outside/${'ab'.repeat(32)}`);
});

test('an init, a read-only root, and mounts in order of depth', () => {
  const spec = generateSpec(
    input({
      hostConfig: { Init: true, ReadonlyRootfs: true, ShmSize: 1 << 20 },
      mounts: [
        { type: 'bind', source: '/h/deep', destination: '/data/a/b', readOnly: true },
        { type: 'bind', source: '/h/hosts', destination: '/etc/hosts', readOnly: false },
        { type: 'tmpfs', destination: '/data', options: 'exec,size=1m,mode=1777' },
        { type: 'bind', source: '/h/shared', destination: '/s', readOnly: false, propagation: 'rshared' },
      ],
    }),
  );
  assert.deepEqual(spec.process?.args.slice(0, 3), ['/sbin/docker-init', '--', '/entry']);
  const own = (spec.mounts ?? []).slice(7).map(({ destination, options }) => [destination, options?.join()]);
  assert.deepEqual(own, [
    ['/sbin/docker-init', 'bind,ro'],
    ['/data', 'nosuid,nodev,rprivate,exec,size=1m,mode=1777'],
    ['/s', 'rbind,rshared'],
    ['/etc/resolv.conf', 'rbind,rro,rprivate'],
    ['/etc/hostname', 'rbind,rro,rprivate'],
    ['/etc/hosts', 'rbind,rprivate'],
    ['/data/a/b', 'rbind,rro,rprivate'],
  ]);
  assert.equal(spec.linux?.rootfsPropagation, 'shared');
  assert.ok(
    spec.mounts?.find(({ destination }) => destination === '/dev/shm')?.options?.includes('size=1048576'),
  );
});

test('a /dev of the user takes the place of everything below it', () => {
  const spec = generateSpec(
    input({ mounts: [{ type: 'bind', source: '/dev', destination: '/dev/', readOnly: false }] }),
  );
  const below = (spec.mounts ?? []).filter(({ destination }) => destination.startsWith('/dev'));
  assert.deepEqual(below, [
    { destination: '/dev', type: 'bind', source: '/dev', options: ['rbind', 'rprivate'] },
  ]);
});

test('namespaces of the host and of other containers', () => {
  const spec = generateSpec(
    input({
      hostConfig: {
        PidMode: 'host',
        IpcMode: 'container:x',
        UTSMode: 'host',
        CgroupnsMode: 'host',
        Init: true,
      },
      namespaces: { network: 'host', ipc: { path: '/proc/7/ns/ipc' } },
      shmPath: '/run/other/shm',
    }),
  );
  assert.deepEqual(spec.linux?.namespaces, [{ type: 'mount' }, { type: 'ipc', path: '/proc/7/ns/ipc' }]);
  assert.equal(spec.hostname, undefined);
  assert.equal(spec.process?.args[0], '/entry');
  const shm = spec.mounts?.find(({ destination }) => destination === '/dev/shm');
  assert.equal(shm?.source, '/run/other/shm');
});

test('a user by name has no effective capabilities and its own groups and home', () => {
  const spec = generateSpec(
    input({ config: { Cmd: ['x'], User: 'web', Tty: true }, hostConfig: { GroupAdd: ['7', 'logs'] } }),
  );
  assert.deepEqual(spec.process?.user, { uid: 33, gid: 33, additionalGids: [33, 44, 7] });
  assert.deepEqual(spec.process?.capabilities?.effective, []);
  assert.deepEqual(spec.process?.capabilities?.bounding, DEFAULT_CAPABILITIES);
  assert.ok(spec.process?.env?.includes('HOME=/var/www') && spec.process.env.includes('TERM=xterm'));
});

test('an exec inherits from the init and replaces what was asked', () => {
  const given = input({ hostConfig: { CapDrop: ['ALL'], CapAdd: ['chown'] } });
  const { process: init } = generateSpec(given);
  assert.ok(init);
  const request = {
    config: { Env: ['A=1', 'B=2'], WorkingDir: '/w', User: 'web' },
    hostConfig: given.hostConfig,
    init,
    hostname: 'h',
    accounts: ACCOUNTS,
    cmd: ['ls'],
    env: ['B=3'],
    user: '',
    workingDir: '',
    tty: true,
    privileged: false,
    available: ['CAP_CHOWN', 'CAP_KILL'],
  };
  const exec = execProcess(request);
  assert.deepEqual(exec.env?.slice(1), ['HOSTNAME=h', 'TERM=xterm', 'A=1', 'B=3', 'HOME=/var/www']);
  assert.equal(exec.cwd, '/w');
  assert.deepEqual(exec.capabilities?.bounding, ['CAP_CHOWN']);
  assert.deepEqual(execProcess({ ...request, privileged: true }).capabilities?.bounding, request.available);
  assert.throws(
    () => execProcess({ ...request, user: 'nobody' }),
    /unable to find user nobody: no matching entries in passwd file/,
  );
});

test('the default AppArmor profile is for containers that ask for nothing else, where there is AppArmor', () => {
  const profile = (
    hostConfig: SpecInput['hostConfig'],
    apparmor = true,
    apparmorDefault = 'mydock-default',
  ) =>
    generateSpec(input({ hostConfig, host: testFacts({ apparmor }), apparmorDefault })).process
      ?.apparmorProfile;
  assert.equal(profile({}), 'mydock-default');
  assert.equal(profile({ CapAdd: ['ALL'], SecurityOpt: ['seccomp=unconfined'] }), 'mydock-default');
  assert.equal(profile({ SecurityOpt: ['apparmor=mine'] }), 'mine');
  assert.equal(profile({ SecurityOpt: ['apparmor=unconfined'] }), 'unconfined');
  assert.equal(profile({ Privileged: true }), 'unconfined');
  assert.equal(profile({ Privileged: true, SecurityOpt: ['apparmor=mine'] }), 'mine');
  assert.equal(profile({ SecurityOpt: ['apparmor=mine'] }, false), undefined);
  assert.equal(profile({ Privileged: true }, false), undefined);
  const undecided = generateSpec(input({ host: testFacts({ apparmor: true }) }));
  assert.equal(undecided.process?.apparmorProfile, undefined);
});

test('an exec is confined as its container is, and other runtimes are told', () => {
  const spec = generateSpec(
    input({ host: testFacts({ apparmor: true }), apparmorDefault: 'mydock-default' }),
  );
  assert.ok(spec.process !== undefined);
  const exec = execProcess({
    config: {},
    hostConfig: {},
    init: spec.process,
    hostname: 'h',
    accounts: ACCOUNTS,
    cmd: ['true'],
    env: [],
    user: '',
    workingDir: '',
    tty: false,
    privileged: true,
    available: [],
  });
  assert.equal(exec.apparmorProfile, 'mydock-default');
  const foreign = JSON.parse(foreignSpecText(spec)) as typeof spec;
  assert.equal(foreign.process?.apparmorProfile, 'mydock-default');
});
