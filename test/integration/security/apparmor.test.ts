/**
 * The default AppArmor profile, on machines that have AppArmor (the virtual machine of `make test-vm` does): who gets it,
 * what it keeps containers from that nothing else does, what it must not get in the way of, and what a start makes of a
 * profile that is missing. Without AppArmor: that nothing is said of one.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { ContainerSecurity } from '../../../src/api/security.ts';
import type { SystemInfo } from '../../../src/api/system.ts';
import { readHostFacts } from '../../../src/oci/host-facts.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const HAVE = readHostFacts().apparmor && existsSync('/usr/sbin/apparmor_parser');
const here = HAVE ? {} : { skip: 'this machine has no AppArmor' };
/** A policy is the kernel's: what takes the default profile away would do so to all containers of the machine. */
const alone = HAVE && process.env['MYDOCK_TEST_VM'] === '1' ? {} : { skip: 'not in a machine of its own' };

const PARSER = '/usr/sbin/apparmor_parser';
const CONFINED = 'mydock-default (enforce)';
const CURRENT = 'cat /proc/self/attr/current';
const CDI = `/run/cdi-${process.pid}`;

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  mkdirSync(CDI, { recursive: true });
  ({ daemon, close } = await daemonWithBusybox(['--cdi-spec-dir', CDI]));
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

async function shell(flags: readonly string[], line: string): Promise<string> {
  return await daemon.ok('run', '--rm', ...flags, 'busybox', 'sh', '-c', line);
}

async function start(name: string, ...flags: string[]): Promise<number> {
  await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sleep', '1000');
  return Number(await daemon.inspect(name, '{{.State.Pid}}'));
}

/** As the host sees a process. */
function labelOf(pid: number): string {
  return readFileSync(`/proc/${pid}/attr/current`, 'utf8').trim();
}

async function info(): Promise<SystemInfo> {
  return (await daemon.api('GET', '/info')).json<SystemInfo>();
}

/** What `inspect --security` says of AppArmor. */
async function statement(name: string): Promise<string> {
  const { Findings } = (await daemon.api('GET', `/containers/${name}/security`)).json<ContainerSecurity>();
  const found = Findings.find(({ Topic }) => Topic === 'mandatory access control');
  return `${found?.Level}: ${found?.Finding}`;
}

function loadPolicy(option: '-Kr' | '-KR', text: string): void {
  execFileSync(PARSER, [option], { input: text, stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });
}

function loadedProfiles(): string {
  return readFileSync('/sys/kernel/security/apparmor/profiles', 'utf8');
}

/** Runs `lines`, each of which must be refused with the profile and succeed without. */
async function refusedByProfileAlone(flags: readonly string[], lines: readonly string[]): Promise<void> {
  const script = lines.map((line, index) => `(${line}) >/dev/null 2>&1 && echo ${index}`).join('; ');
  const every = lines.map((_, index) => index).join('\n');
  assert.equal(await shell(flags, `${script}; true`), '', 'with the profile nothing of it can be done');
  const free = [...flags, '--security-opt', 'apparmor=unconfined'];
  assert.equal(await shell(free, `${script}; true`), every, 'without it all of it can');
}

test('a machine without AppArmor: nothing claims a profile', { skip: HAVE && 'it has' }, async () => {
  await start('plain');
  assert.equal(await daemon.inspect('plain', '{{.AppArmorProfile}}'), '');
  assert.ok(!(await info()).SecurityOptions.includes('name=apparmor'));
  if (!existsSync('/sys/fs/selinux/enforce')) {
    assert.equal(await statement('plain'), 'info: the host has neither AppArmor nor SELinux');
  }
  const result = await daemon.mydock([
    ...['run', '--rm', '--security-opt', 'apparmor=mydock-default', 'busybox', 'true'],
  ]);
  assert.equal(result.code, 0, result.stderr);
  assert.match(
    result.stderr,
    /AppArmor is not available on this host\. The AppArmor profile was discarded\./,
  );
});

describe('who gets the profile', here, () => {
  test('containers, and what runs in them: init, exec, terminals, health checks', async () => {
    const flags = ['--init', '--health-cmd', CURRENT, '--health-interval', '1s'];
    const pid = await start('web', ...flags);
    assert.equal(labelOf(pid), CONFINED);
    assert.equal(await daemon.ok('exec', 'web', 'sh', '-c', CURRENT), CONFINED);
    assert.equal(await daemon.ok('exec', '-u', '1000', 'web', 'sh', '-c', CURRENT), CONFINED);
    assert.equal(await daemon.ok('exec', '--privileged', 'web', 'sh', '-c', CURRENT), CONFINED);
    assert.match(await shell(['-t'], CURRENT), /^mydock-default \(enforce\)/);
    assert.equal(await shell(['--security-opt', 'no-new-privileges'], CURRENT), CONFINED);
    assert.equal(await shell(['-u', '1000', '--cap-drop', 'ALL'], CURRENT), CONFINED);
    await eventually('the health check ran', async () =>
      (await daemon.inspect('web', '{{json .State.Health.Log}}')).includes(CONFINED),
    );
  });

  test('steps of builds', async () => {
    const folder = join(daemon.folder, 'context');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), `FROM busybox\nRUN ${CURRENT} > /label\n`);
    await daemon.ok('build', '-t', 'built', folder);
    assert.equal(await daemon.ok('run', '--rm', 'built', 'cat', '/label'), CONFINED);
  });

  test('containers with a user namespace of their own', async () => {
    const confined = /^mydock-default(\/\/&unconfined)? \(enforce\)$/;
    assert.match(await shell(['--userns', 'auto'], CURRENT), confined);
    await start('mapped', '--userns', 'auto');
    assert.match(await daemon.ok('exec', 'mapped', 'sh', '-c', CURRENT), confined);
  });

  test('not privileged ones, nor those that say unconfined, nor what is executed in them', async () => {
    for (const [name, ...flags] of [
      ['privileged', '--privileged'],
      ['unconfined', '--security-opt', 'apparmor=unconfined'],
    ] as const) {
      assert.equal(labelOf(await start(name, ...flags)), 'unconfined');
      assert.equal(await daemon.ok('exec', name, 'sh', '-c', CURRENT), 'unconfined');
      assert.equal(await daemon.inspect(name, '{{.AppArmorProfile}}'), 'unconfined');
      assert.equal(await statement(name), 'weak: AppArmor is switched off for it');
    }
  });

  test('inspect, info and the statement on security say it', async () => {
    await daemon.ok('create', '--name', 'web', 'busybox', 'sleep', '1000');
    for (const verb of ['ps', 'start', 'restart']) {
      if (verb !== 'ps') await daemon.ok(verb, ...(verb === 'restart' ? ['-t', '0'] : []), 'web');
      assert.equal(await daemon.inspect('web', '{{.AppArmorProfile}}'), 'mydock-default');
      assert.equal(await statement('web'), 'info: AppArmor profile mydock-default');
    }
    const { SecurityOptions, Warnings } = await info();
    assert.ok(SecurityOptions.includes('name=apparmor'));
    assert.ok(!(Warnings ?? []).some((line) => line.includes('AppArmor')), `${Warnings}`);
  });

  test('a profile by name; one that is not loaded ends the start with Docker’s words', async () => {
    const name = `mydock-test-${process.pid}`;
    const policy = `profile ${name} flags=(attach_disconnected) { file, capability, network, signal, deny /etc/passwd r, }`;
    loadPolicy('-Kr', policy);
    try {
      const flags = ['--security-opt', `apparmor=${name}`];
      assert.equal(labelOf(await start('named', ...flags)), `${name} (enforce)`);
      assert.equal(await daemon.inspect('named', '{{.AppArmorProfile}}'), name);
      assert.equal(await daemon.ok('exec', 'named', 'sh', '-c', CURRENT), `${name} (enforce)`);
      assert.equal(await shell(flags, 'cat /etc/passwd 2>/dev/null || echo denied'), 'denied');
      await daemon.ok('rm', '-f', 'named');
    } finally {
      loadPolicy('-KR', policy);
    }
    const missing =
      /unable to apply apparmor profile: apparmor failed to apply profile: write \/proc\/self\/attr\/\S*exec: no such file or directory: profile docker-default is not loaded/i;
    const flags = ['--name', 'lost', '--security-opt', 'apparmor=docker-default'];
    await daemon.fails(125, missing, 'run', ...flags, 'busybox', 'true');
    assert.match(await daemon.inspect('lost', '{{.State.Error}}'), missing);
  });

  test('hooks of the host are not the container’s: they run as the daemon does', async () => {
    const result = join(daemon.folder, 'hook-label');
    const hook = {
      hookName: 'createContainer',
      path: '/bin/sh',
      args: ['sh', '-c', `${CURRENT} > ${result}`],
    };
    const device = { name: 'one', containerEdits: { hooks: [hook] } };
    const spec = { cdiVersion: '0.5.0', kind: 'vendor.com/hook', devices: [device] };
    writeFileSync(join(CDI, 'hook.json'), JSON.stringify(spec));
    assert.equal(await shell(['--device', 'vendor.com/hook=one'], CURRENT), CONFINED);
    assert.equal(readFileSync(result, 'utf8').trim(), labelOf(daemon.pid));
    rmSync(join(CDI, 'hook.json'));
  });
});

describe('what it keeps containers from', here, () => {
  test('mounting, with all the power that it takes; and unmounting what hides the kernel’s files', async () => {
    const flags = ['--cap-add', 'SYS_ADMIN', '--security-opt', 'seccomp=unconfined'];
    await refusedByProfileAlone(flags, [
      'mount -t tmpfs none /dev/mqueue',
      'mount -o bind /etc /dev/mqueue',
      'mount -o remount,bind,rw /proc/sys',
      'mount --make-rshared /',
      'umount /proc/keys',
      'umount /proc/sys',
      'umount /sys/firmware',
      'unshare -m sh -c "mount -t tmpfs none /dev/mqueue"',
    ]);
  });

  test('writing to /proc where nothing hides it', async () => {
    await refusedByProfileAlone(
      ['--security-opt', 'systempaths=unconfined'],
      [
        ': >> /proc/sysrq-trigger',
        ': >> /proc/sys/kernel/core_pattern',
        ': >> /proc/sys/kernel/sysrq',
        ': >> /proc/sys/kernel/keys/maxkeys',
        ': >> /proc/sys/vm/drop_caches',
        ': >> /proc/sys/fs/file-max',
        ': >> /proc/irq/default_smp_affinity',
        'dd if=/dev/null of=/proc/sys/net/ipv4/ip_forward',
      ],
    );
    const open = 'echo 500 > /proc/self/oom_score_adj && : >> /proc/sys/kernel/shm_rmid_forced && echo fine';
    assert.equal(await shell(['--security-opt', 'systempaths=unconfined'], open), 'fine');
  });

  test('writing to /sys where a mount shows it; the container’s cgroups stay its own', async () => {
    await refusedByProfileAlone(
      ['-v', '/sys:/sys'],
      [
        ': >> /sys/kernel/rcu_expedited',
        ': >> /sys/module/apparmor/parameters/audit',
        'cat /sys/kernel/security/apparmor/profiles',
      ],
    );
    const own = 'mkdir /sys/fs/cgroup/inner && rmdir /sys/fs/cgroup/inner && echo fine';
    assert.equal(await shell(['--security-opt', 'writable-cgroups'], own), 'fine');
  });

  test('processes of the host, seen through --pid host: their memory, and signals to them', async () => {
    await refusedByProfileAlone(
      ['--pid', 'host', '--cap-add', 'SYS_PTRACE', '--cap-add', 'KILL'],
      [`cat /proc/${process.pid}/environ | grep -q .`, `kill -0 ${process.pid}`],
    );
  });
});

describe('what it does not get in the way of', here, () => {
  test('stopping and killing, from the host and inside', async () => {
    const script = 'trap "exit 7" TERM; trap "echo usr1" USR1; while true; do sleep 0.2; done';
    await daemon.ok('run', '-d', '--name', 'traps', 'busybox', 'sh', '-c', `echo up; ${script}`);
    const log = async (text: string) =>
      await eventually(`log has ${text}`, async () => (await daemon.ok('logs', 'traps')).includes(text));
    await log('up');
    await daemon.ok('kill', '-s', 'USR1', 'traps');
    await log('usr1');
    await daemon.ok('stop', '-t', '60', 'traps');
    assert.equal(await daemon.inspect('traps', '{{.State.ExitCode}}'), '7');
    await start('sleeper');
    await daemon.ok('kill', 'sleeper');
    await daemon.reaches('sleeper', 'exited');
    assert.equal(await shell([], 'sleep 100 & kill $! && wait $!; echo $?'), '143');
    await daemon.ok('run', '-d', '--name', 'first', 'busybox', 'sh', '-c', 'sleep 1000 & echo $!; wait');
    await eventually('the sleeper is there', async () => (await daemon.ok('logs', 'first')) !== '');
    const sleeper = await daemon.ok('logs', 'first');
    assert.equal(await shell(['--pid', 'container:first'], `kill -KILL ${sleeper}; echo $?`), '0');
    await daemon.reaches('first', 'exited');
    await start('paused');
    await daemon.ok('pause', 'paused');
    await daemon.ok('unpause', 'paused');
    await daemon.ok('rm', '-f', 'paused');
  });

  test('runtimes that have a profile of their own end containers', alone, async () => {
    const runtime = 'profile crun flags=(unconfined) { }';
    const loaded = /^crun /m.test(loadedProfiles());
    if (!loaded) loadPolicy('-Kr', runtime);
    try {
      const pid = await start('ended');
      execFileSync('/usr/bin/aa-exec', ['-p', 'crun', '--', '/bin/kill', '-KILL', `${pid}`], {
        stdio: 'pipe',
      });
      await daemon.reaches('ended', 'exited');
    } finally {
      if (!loaded) loadPolicy('-KR', runtime);
    }
  });

  test('looking into processes of the container, and tracing them', async () => {
    const look =
      'sleep 100 & cat /proc/$!/maps | grep -q . && tr "\\0" "\\n" < /proc/1/environ | grep -q PATH && echo seen';
    assert.equal(await shell([], look), 'seen');
    await start('looked');
    assert.equal(await daemon.ok('exec', 'looked', 'sh', '-c', 'readlink /proc/1/cwd'), '/');
    if (!existsSync('/usr/bin/strace')) return;
    const host = ['/usr', '/lib', '/lib64'].flatMap((path) => ['-v', `${path}:${path}:ro`]);
    const traced = await shell(host, '/usr/bin/strace -f -o /tmp/trace /bin/true && tail -n 1 /tmp/trace');
    assert.match(traced, /exited with 0/);
  });

  test('files, sockets, volumes, copying and the network', async () => {
    const work = [
      'mkfifo /tmp/f && ln -s f /tmp/l && mknod /tmp/n c 1 3 && chown 5:5 /tmp/l',
      'cp /bin/busybox /tmp/sh && /tmp/sh -c true',
      'echo kept > /data/x',
      'echo made',
    ].join(' && ');
    assert.equal(await shell(['-v', 'data:/data', '--tmpfs', '/tmp:exec'], work), 'made');
    const talk =
      'nc -l -p 7 -e echo net & i=0; until nc -w 5 127.0.0.1 7; do i=$((i+1)); [ $i -lt 60 ] || break; sleep 1; done';
    assert.equal(await shell([], `(${talk}) 2>/dev/null`), 'net');
    assert.equal(await shell(['-v', 'data:/data'], 'cat /data/x'), 'kept');
    await daemon.ok('volume', 'rm', 'data');
    await start('copied');
    const file = join(daemon.folder, 'file');
    writeFileSync(file, 'in and out');
    await daemon.ok('cp', file, 'copied:/file');
    assert.equal(await daemon.ok('exec', 'copied', 'cat', '/file'), 'in and out');
    assert.match(await daemon.ok('top', 'copied', '-o', 'pid,args'), /sleep 1000$/);
  });

  test(
    'restricted changes of profile: mapped containers are confined, and signal each other',
    alone,
    async () => {
      const switches = ['apparmor_restrict_unprivileged_unconfined', 'apparmor_restrict_unprivileged_userns']
        .map((name) => `/proc/sys/kernel/${name}`)
        .filter((path) => existsSync(path));
      assert.ok(switches.length > 0, 'the kernel of the machine has such a switch');
      const before = switches.map((path) => readFileSync(path, 'utf8'));
      try {
        for (const path of switches) writeFileSync(path, '1');
        for (const userns of [[], ['--userns', 'auto']]) {
          assert.match(await shell(userns, CURRENT), /^mydock-default(\/\/&unconfined)? \(enforce\)$/);
          assert.equal(await shell(userns, 'sleep 100 & kill $! && wait $!; echo $?'), '143');
          assert.equal(await shell(userns, 'sleep 100 & cat /proc/$!/maps | grep -q . && echo seen'), 'seen');
          await start('strict', ...userns);
          assert.match(await daemon.ok('exec', 'strict', 'sh', '-c', CURRENT), /^mydock-default/);
          assert.equal(await daemon.ok('exec', 'strict', 'sh', '-c', 'kill -0 1 && echo reached'), 'reached');
          await daemon.ok('stop', '-t', '0', 'strict');
          await daemon.ok('rm', '-f', 'strict');
        }
      } finally {
        for (const [index, path] of switches.entries()) writeFileSync(path, before[index] ?? '0');
      }
    },
  );
});

/** Something else in the parser's place, in this sandbox's mounts alone. */
async function insteadOfParser(file: string, use: () => Promise<void>): Promise<void> {
  execFileSync('mount', ['--bind', file, PARSER]);
  try {
    await use();
  } finally {
    execFileSync('umount', [PARSER]);
  }
}

describe('a profile that is not there', here, () => {
  const remove = () => loadPolicy('-KR', 'profile mydock-default {}');

  test('is loaded again by the next start, exec and build', alone, async () => {
    const pid = await start('before');
    remove();
    assert.doesNotMatch(loadedProfiles(), /^mydock-default /m);
    assert.equal(labelOf(pid), 'unconfined', 'the kernel lets go of what the profile confined');
    assert.equal(await daemon.ok('exec', 'before', 'sh', '-c', CURRENT), CONFINED);
    remove();
    assert.equal(await shell([], CURRENT), CONFINED);
    remove();
    await daemon.stop();
    await daemon.launch();
    await eventually('loaded by the start of a daemon', () =>
      /^mydock-default \(enforce\)$/m.test(loadedProfiles()),
    );
  });

  test('and cannot be loaded: containers do not start, but for those that need none', alone, async () => {
    const refusal =
      /AppArmor enabled on system but the mydock-default profile could not be loaded: running '\/usr\/sbin\/apparmor_parser -Kr' failed with output: /;
    await daemon.stop();
    remove();
    await insteadOfParser('/bin/false', async () => {
      await daemon.launch();
      await daemon.fails(125, refusal, 'run', '--rm', 'busybox', 'true');
      assert.equal(await shell(['--privileged'], CURRENT), 'unconfined');
      assert.equal(await shell(['--security-opt', 'apparmor=unconfined'], CURRENT), 'unconfined');
      assert.match(((await info()).Warnings ?? []).join('\n'), refusal);
      assert.match(daemon.log, /the default AppArmor profile is not loaded/);
    });
    assert.equal(await shell([], CURRENT), CONFINED);
    assert.doesNotMatch(((await info()).Warnings ?? []).join('\n'), /AppArmor/);
  });

  test('without apparmor_parser containers run without a profile, and it is said', async () => {
    await daemon.stop();
    await insteadOfParser('/dev/null', async () => {
      await daemon.launch();
      const pid = await start('plain');
      assert.equal(labelOf(pid), labelOf(daemon.pid));
      assert.equal(await daemon.inspect('plain', '{{.AppArmorProfile}}'), '');
      assert.equal(await statement('plain'), 'weak: the host has AppArmor, and the container no profile');
      assert.match(((await info()).Warnings ?? []).join('\n'), /apparmor_parser is not installed/);
      assert.match(daemon.log, /apparmor_parser is not installed: containers run without a profile/);
      await daemon.stop();
    });
    await daemon.launch();
  });
});
