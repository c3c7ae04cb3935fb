/**
 * Programs of other architectures, in steps and containers. What the machine cannot execute is said with what is missing;
 * 32-bit programs need nothing but the kernel; and in a machine of its own (`make test-vm`), where an emulator can be
 * registered, a build for several platforms executes its steps, confined as any other.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { runnablePlatforms } from '../../../src/image/runnable-platforms.ts';
import { busyboxTar } from '../../fixtures/catalog.ts';
import {
  ARM_V7,
  ARM64,
  emulatorProgram,
  type ForeignMachine,
  foreignBusyboxLayer,
  foreignMissing,
  i386Program,
  registration,
} from '../../fixtures/foreign.ts';
import {
  HOST_PLATFORM,
  type Layer,
  makeImage,
  makeIndex,
  makeLayer,
  OTHER_PLATFORM,
  type Platform,
} from '../../fixtures/image.ts';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';

const BINFMT = '/proc/sys/fs/binfmt_misc';
const PATH = 'PATH=/bin';
const alone =
  process.env['MYDOCK_TEST_VM'] === '1' && process.arch === 'x64'
    ? foreignMissing()
    : 'not in a machine of its own';

const name = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === undefined || variant === 'v8' ? [] : [variant])].join('/');

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
afterEach(async () => await daemon.removeContainers());
after(async () => await close());

function context(dockerfile: string): string {
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  return folder;
}

const runs = (platform: Platform): boolean => runnablePlatforms().some((one) => name(one) === name(platform));

/** What nothing here executes: no more than the first bytes of a program. */
function emptyProgram(architecture: string): Buffer {
  const elf = Buffer.alloc(64);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(architecture === 'arm64' ? 183 : 62, 18);
  return elf;
}

test('a platform that is not executed here: which one, and what to install', async (t) => {
  if (runs(OTHER_PLATFORM)) return t.skip('this machine has an emulator');
  const tar = makeTar([
    { path: 'bin/', type: 'directory' },
    { path: 'bin/sh', mode: 0o755, data: emptyProgram(OTHER_PLATFORM.architecture) },
  ]);
  const image = makeImage({
    layers: [makeLayer(tar, 'gzip')],
    platform: OTHER_PLATFORM,
    config: { Env: [PATH] },
  });
  const base = await registry.push('not-executed', 'latest', image);
  const platform = name(OTHER_PLATFORM);
  const why = new RegExp(
    `exec format error: programs for ${platform} cannot run on this machine \\(${name(HOST_PLATFORM)}\\): no emulator is registered for them; install one, for example Debian's qemu-user-static`,
  );
  await daemon.fails(1, why, 'build', '--platform', platform, context(`FROM ${base}\nRUN echo\n`));
  await daemon.fails(125, why, 'run', '--platform', platform, base, '/bin/sh');
  // Not the platform's fault.
  const missing = await daemon.ends(127, ['run', 'busybox', '/no-such-program']);
  assert.doesNotMatch(missing.stderr, /emulator/);
});

test('32-bit programs of this machine, under the same filter of system calls', async (t) => {
  const platform = { os: 'linux', architecture: '386' };
  if (!runs(platform)) return t.skip('this kernel executes no 32-bit programs');
  const tar = makeTar([
    { path: 'hello', mode: 0o755, data: i386Program('by int 0x80\n') },
    { path: 'bin/', type: 'directory' },
  ]);
  const base = await registry.push(
    'i386',
    'latest',
    makeImage({ layers: [makeLayer(tar, 'gzip')], platform }),
  );
  const folder = context(`FROM ${base}\nARG TARGETARCH\nRUN ["/hello"]\nLABEL arch=$TARGETARCH\n`);
  const { stderr } = await daemon.ends(0, [
    'build',
    '--no-cache',
    '--platform',
    'linux/386',
    '-t',
    'small',
    folder,
  ]);
  assert.match(stderr, /by int 0x80/);
  assert.equal(await daemon.inspect('small', '{{.Architecture}} {{.Config.Labels.arch}}'), '386 386');
  assert.equal(await daemon.ok('run', '--rm', 'small', '/hello'), 'by int 0x80');
});

function register(machine: ForeignMachine, flags: string): void {
  unregister(machine);
  writeFileSync(join(BINFMT, 'register'), registration(machine, emulatorProgram(machine), flags));
}

function unregister({ emulator }: ForeignMachine): void {
  const entry = join(BINFMT, `qemu-${emulator}`);
  if (existsSync(entry)) writeFileSync(entry, '-1');
}

describe('emulated', { skip: alone }, () => {
  const MACHINES = [ARM64, ARM_V7];
  const PLATFORMS = [HOST_PLATFORM, ...MACHINES.map(({ platform }) => platform)];
  let base: string;

  before(async () => {
    execFileSync('modprobe', ['binfmt_misc']);
    execFileSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', BINFMT]);
    const image = (layer: Layer, platform: Platform) =>
      makeImage({ layers: [layer], platform, config: { Env: [PATH], Cmd: ['sh'] } });
    const foreign = await Promise.all(
      MACHINES.map(async (machine) => image(await foreignBusyboxLayer(machine), machine.platform)),
    );
    const own = image(makeLayer(await busyboxTar(), 'gzip'), HOST_PLATFORM);
    base = await registry.push('several', 'latest', makeIndex([own, ...foreign], 'oci'));
    await daemon.ok('pull', '-q', base);
  });
  after(() => {
    for (const machine of MACHINES) unregister(machine);
    execFileSync('umount', [BINFMT]);
  });

  const here = (platform: Platform, ...words: string[]): Promise<string> =>
    daemon.ok('run', '--rm', '--network', 'none', '--platform', name(platform), ...words);

  test('an image for three platforms, its steps executed for each', async () => {
    for (const machine of MACHINES) register(machine, 'OPF');
    const tag = `${registry.host}/executed:1`;
    const folder = context(
      [
        `FROM --platform=$BUILDPLATFORM ${base} AS native`,
        'ARG TARGETARCH',
        'RUN echo "$(uname -m) for $TARGETARCH" > /native',
        `FROM ${base}`,
        'ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDARCH',
        'RUN uname -m > /machine && echo "$TARGETPLATFORM $TARGETARCH/$TARGETVARIANT by $BUILDARCH" > /target',
        'RUN --mount=type=cache,target=/kept --mount=type=tmpfs,target=/t \\',
        '  su alice -c "id -un > /tmp/who" && ln /machine /linked && mkdir -p /a/b && rm -r /a',
        'USER 1000',
        'RUN ["/bin/sh", "-c", "grep -E ^Seccomp: /proc/self/status > /tmp/seccomp; cat /proc/self/attr/current > /tmp/label || true"]',
        'COPY --from=native /native /native',
        'CMD ["cat", "/machine"]',
        '',
      ].join('\n'),
    );
    const platforms = PLATFORMS.map(name).join(',');
    await daemon.ok('build', '--platform', platforms, '-t', tag, folder);
    const told: Record<string, string[]> = {};
    for (const platform of PLATFORMS) {
      const files = ['/machine', '/target', '/native', '/tmp/who', '/tmp/seccomp'];
      told[name(platform)] = (await here(platform, tag, 'cat', ...files)).split('\n');
    }
    assert.deepEqual(told, {
      'linux/amd64': ['x86_64', 'linux/amd64 amd64/ by amd64', 'x86_64 for amd64', 'alice', 'Seccomp:\t2'],
      'linux/arm64': ['aarch64', 'linux/arm64 arm64/ by amd64', 'x86_64 for arm64', 'alice', 'Seccomp:\t2'],
      'linux/arm/v7': ['armv7l', 'linux/arm/v7 arm/v7 by amd64', 'x86_64 for arm', 'alice', 'Seccomp:\t2'],
    });
    const labels = await Promise.all(
      PLATFORMS.map(async (platform) => await here(platform, tag, 'cat', '/tmp/label')),
    );
    assert.equal(new Set(labels).size, 1, labels.join(', '));
    await daemon.ok('push', tag);
    const accept = 'application/vnd.oci.image.index.v1+json';
    const index = await fetch(`http://${registry.host}/v2/executed/manifests/1`, { headers: { accept } });
    const { manifests } = (await index.json()) as { manifests: { platform: Platform }[] };
    assert.deepEqual(
      manifests.map(({ platform }) => name(platform)),
      PLATFORMS.map(name),
    );
  });

  test('a container: init, exec, signals, health, a user namespace of its own', async () => {
    register(ARM64, 'OPF');
    const flags = [
      '--platform',
      'linux/arm64',
      '--network',
      'none',
      '--init',
      '--health-cmd',
      'test $(uname -m) = aarch64',
    ];
    await daemon.ok('run', '-d', '--name', 'arm', ...flags, '--health-interval', '1s', base, 'sleep', '1000');
    assert.equal(
      await daemon.ok('exec', '-u', '1000', 'arm', 'sh', '-c', 'uname -m; id -u'),
      'aarch64\n1000',
    );
    await eventually(
      'it is healthy',
      async () => (await daemon.inspect('arm', '{{.State.Health.Status}}')) === 'healthy',
    );
    await daemon.ok('stop', '-t', '60', 'arm');
    assert.equal(await daemon.inspect('arm', '{{.State.ExitCode}}'), '143');
    assert.equal(await here(ARM64.platform, '--userns', 'auto', base, 'uname', '-m'), 'aarch64');
    assert.equal(
      await here(ARM64.platform, '--security-opt', 'no-new-privileges', base, 'uname', '-m'),
      'aarch64',
    );
    assert.equal(
      await here(ARM64.platform, '--cap-drop', 'ALL', '--read-only', base, 'uname', '-m'),
      'aarch64',
    );
  });

  test('an emulator without the flag F is not found inside, unless the image has it', async () => {
    register(ARM64, 'OP');
    const folder = context(`FROM ${base}\nRUN uname -m\n`);
    const why =
      /programs for linux\/arm64 cannot run on this machine \(linux\/amd64\): its emulator is registered without the flag F/;
    await daemon.fails(1, why, 'build', '--no-cache', '--platform', 'linux/arm64', folder);
    await daemon.fails(127, why, 'run', '--rm', '--platform', 'linux/arm64', base, 'uname', '-m');
    const program = emulatorProgram(ARM64);
    mkdirSync(join(folder, 'own'), { recursive: true });
    writeFileSync(join(folder, 'own/qemu'), readFileSync(program), { mode: 0o755 });
    context(`FROM ${base}\nCOPY own/qemu ${program}\nRUN uname -m > /machine\n`);
    await daemon.ok('build', '--platform', 'linux/arm64', '-t', 'brings-its-own', folder);
    assert.equal(await here(ARM64.platform, 'brings-its-own', 'cat', '/machine'), 'aarch64');
  });
});
