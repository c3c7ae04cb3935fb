/**
 * Attempts by files: what an image or a volume puts where the runtime mounts, masks and opens terminals, and what
 * containers with a user namespace try on files and namespaces of the host. Names that are exchanged while they are
 * looked up stand in volume/hostile.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { attackProgram, outcomes, winners } from '../../fixtures/attack.ts';
import { busyboxLayer } from '../../fixtures/catalog.ts';
import { makeImage, makeLayer } from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { Bundle } from '../runtime/bundle.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
let program = '';
before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
  program = join(daemon.folder, 'attack');
  copyFileSync(await attackProgram(), program);
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

/** An image of busybox under a layer of these entries. */
async function image(name: string, entries: readonly TarEntry[], config: object = {}): Promise<void> {
  const layers = [await busyboxLayer('gzip'), makeLayer(makeTar(entries), 'gzip')];
  const reference = await registry.push(
    name,
    'latest',
    makeImage({ layers, config: { Cmd: ['sh'], ...config } }),
  );
  await daemon.ok('pull', '-q', reference);
  await daemon.ok('tag', reference, name);
}

test('an image cannot put links in place of /proc and /sys (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642)', async () => {
  for (const name of ['proc', 'sys']) {
    await image(`link-${name}`, [
      { path: 'fake/', type: 'directory' },
      { path: name, type: 'symlink', target: 'fake' },
    ]);
    await daemon.fails(
      125,
      /must be mounted on an ordinary directory/,
      'run',
      '--rm',
      `link-${name}`,
      'true',
    );
  }
});

test('a volume does not come to lie on /proc or in it (CVE-2019-16884, CVE-2025-52881)', async () => {
  await image('volumes', [{ path: 'data', type: 'symlink', target: 'proc/self/attr' }], {
    Volumes: { '/data': {} },
  });
  await daemon.fails(125, /inside \/proc|Too many levels/, 'run', '--rm', 'volumes', 'true');
  await image('over-proc', [], { Volumes: { '/proc': {} } });
  await daemon.fails(125, /not of type proc|inside \/proc/, 'run', '--rm', 'over-proc', 'true');
  for (const target of ['/proc', '/proc/self/attr', '/proc/sys/kernel', '/proc/thread-self']) {
    const flags = ['--rm', '-v', `shadow:${target}`];
    await daemon.fails(125, /not of type proc|inside \/proc/, 'run', ...flags, 'busybox', 'true');
  }
});

test('a target that is exchanged for a link out, all the time (CVE-2021-30465, CVE-2024-45310)', async () => {
  const victim = join(daemon.folder, 'victim');
  mkdirSync(victim);
  const volumes = ['-v', 'raced:/v', '-v', `${program}:/attack:ro`];
  const script = `mkdir /v/a; ln -s ../../../../../../../../../..${victim} /v/l; exec /attack exchange /v/a /v/l`;
  await daemon.ok('run', '-d', '--name', 'racer', ...volumes, 'busybox', 'sh', '-c', script);
  await eventually('it exchanges', async () => /exchanging/.test(await daemon.ok('logs', 'racer')));
  for (let turn = 0; turn < 6; turn++) {
    const flags = ['--rm', '-v', 'raced:/v', '-v', `prey:/v/a/b${turn}`];
    const { code, stderr } = await daemon.mydock(['run', ...flags, 'busybox', 'true']);
    assert.ok([0, 125, 126, 127].includes(code), `${code}: ${stderr}`);
    assert.deepEqual(readdirSync(victim), [], `turn ${turn}`);
  }
  assert.equal(await daemon.inspect('racer', '{{.State.Status}}'), 'running');
});

/** A volume for /dev, filled by `script` while it lies on /d. */
async function devices(script: string): Promise<string[]> {
  const flags = ['--rm', '-v', 'devices:/d', '-v', `${program}:/attack:ro`, 'busybox', 'sh', '-c'];
  await daemon.ok('run', ...flags, `rm -rf /d/*; mkdir -p /d/pts /d/shm /d/mqueue; ${script}`);
  return ['run', '--rm', '-v', 'devices:/dev', '-v', `${program}:/attack:ro`];
}

test("masks are no files of the container's choice (CVE-2025-31133)", async () => {
  for (const fake of ['ln -s /proc/interrupts /d/null', 'echo text > /d/null', 'mknod /d/null c 1 5']) {
    const { code, stdout, stderr } = await daemon.mydock([
      ...(await devices(fake)),
      ...['busybox', 'cat', '/proc/interrupts', '/proc/keys'],
    ]);
    assert.equal(stdout, '', fake);
    assert.match(stderr, /no null device/, fake);
    assert.equal(code, 125, fake);
  }
  const { stdout } = await daemon.mydock([
    ...(await devices('mknod -m 666 /d/null c 1 3')),
    ...['busybox', 'cat', '/proc/interrupts', '/proc/keys'],
  ]);
  assert.equal(stdout, '');
});

test("the terminal is no file of the container's choice (CVE-2025-52565)", async () => {
  const fakes = ['mkfifo /d/pts/ptmx', 'mknod -m 666 /d/pts/ptmx c 5 2', 'ln -s /proc/1/fd/0 /d/pts/ptmx'];
  for (const fake of fakes) {
    const flags = await devices(`mknod -m 666 /d/null c 1 3; ${fake}`);
    await daemon.fails(
      125,
      /not a terminal multiplexer|open the terminal/,
      ...flags,
      '-t',
      'busybox',
      'true',
    );
  }
});

test('the console is bound inside the root, wherever its name leads (CVE-2025-52565)', async () => {
  const bundle = await Bundle.make();
  const victim = join(bundle.folder, 'victim');
  try {
    writeFileSync(victim, 'of the host');
    mkdirSync(join(bundle.rootfs, 'dev/pts'), { recursive: true });
    symlinkSync(victim, join(bundle.rootfs, 'dev/console'));
    bundle.configure(`ls ${victim}; tty`, (config) => {
      config.process.terminal = true;
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
    });
    const line = bundle.command(['run', '--bundle', bundle.folder, 'console']);
    const output = execFileSync(program, ['on-terminal', ...line], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(output, `${victim}\r\n/dev/pts/0\r\n`);
    assert.equal(readFileSync(victim, 'utf8'), 'of the host');
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(victim));
  } finally {
    bundle.close();
  }
});

const MAPPED = ['--userns', 'auto'];

async function attack(flags: readonly string[], ...args: string[]): Promise<string> {
  return await daemon.ok(
    'run',
    '--rm',
    '-v',
    `${program}:/attack:ro`,
    // On hosts that have it, it would stand in for what is missing elsewhere.
    '--security-opt',
    'apparmor=unconfined',
    ...flags,
    'busybox',
    '/attack',
    ...args,
  );
}

test("in a user namespace root is not the host's: files, set-user-ID programs, nodes", async () => {
  const folder = join(daemon.folder, 'of-root');
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'of the host', { mode: 0o600 });
  copyFileSync(program, join(folder, 'raised'));
  chmodSync(join(folder, 'raised'), 0o4755);
  const bound = ['-v', `${folder}:/x`];
  for (const name of ['read', 'write', 'chmod']) {
    assert.match(await attack([...MAPPED, ...bound], name, '/x/secret'), /held (EACCES|EPERM)/, name);
    assert.match(await attack(bound, name, '/x/secret'), /won/, `${name}, without a user namespace`);
  }
  const line = ['touch /x/new; chown 0 /x/secret; id -u > /dev/null; chmod 4755 /x/raised'];
  await daemon.mydock(['run', '--rm', ...MAPPED, ...bound, 'busybox', 'sh', '-c', line.join('')]);
  assert.throws(() => statSync(join(folder, 'new')));
  assert.equal(statSync(secret).uid, 0);
  // Whoever executes it stays who they are: its owner is nobody here.
  const raised = ['run', '--rm', ...MAPPED, ...bound, '-u', 'alice', 'busybox', '/x/raised', 'user'];
  assert.equal(await daemon.ok(...raised), 'user held 1000');
  assert.match(
    await attack([...MAPPED, '--device-cgroup-rule', 'c *:* rmw'], 'device', 'c', '1', '3'),
    /held EPERM/,
  );
});

test('a user namespace is not widened, nor its cgroups written (CVE-2023-25809)', async () => {
  for (const flags of [
    MAPPED,
    [...MAPPED, '--security-opt', 'seccomp=unconfined', '--cap-add', 'SYS_ADMIN'],
  ]) {
    assert.match(await attack(flags, 'user-map', '/proc/self/uid_map'), /held EPERM/);
    assert.deepEqual(
      winners(await attack(flags, 'write', '/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger')),
      [],
    );
  }
  const groups = ['cgroup.procs', 'pids/cgroup.procs', 'pids/pids.max'].map(
    (name) => `/sys/fs/cgroup/${name}`,
  );
  assert.deepEqual(winners(await attack(MAPPED, 'write', ...groups)), []);
  assert.deepEqual(winners(await attack([], 'write', ...groups)), []);
  assert.notDeepEqual(winners(await attack(['--security-opt', 'writable-cgroups'], 'write', ...groups)), []);
});

test('namespaces inside a user namespace do not take masks away', async () => {
  const unconfined = ['--security-opt', 'seccomp=unconfined'];
  const nested = await attack([...MAPPED, ...unconfined], 'each', 'unshare', 'proc-mount', 'uncover-nested');
  const { unshare, ...rest } = outcomes(nested);
  assert.match(unshare ?? '', /^won/);
  assert.deepEqual(rest, { 'proc-mount': 'held EPERM', 'uncover-nested': 'held EINVAL' });
  assert.deepEqual(winners(await attack(MAPPED, 'each', 'unshare', 'proc-mount', 'uncover-nested')), []);
});
