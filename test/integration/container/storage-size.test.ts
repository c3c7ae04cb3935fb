/** --storage-opt size=: a container's own files are held to it where the file system has project quotas. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addon } from '../../../src/native/addon.ts';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';

const FULL = /No space left on device|Disk quota exceeded/;
const SIZED = ['--storage-opt', 'size=10M'];

const FILE_SYSTEMS: [type: string, make: string[]][] = [
  ['ext4', ['mkfs.ext4', '-q', '-O', 'project,quota']],
  ['xfs', ['mkfs.xfs', '-q']],
];

for (const [type, [file = '', ...args]] of FILE_SYSTEMS) {
  test(`a container's size on ${type}`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'size-'));
    context.after(() => rmSync(folder, { recursive: true }));
    const [image, place] = [join(folder, `${type}.img`), join(folder, type)];
    writeFileSync(image, '');
    truncateSync(image, 512 << 20);
    mkdirSync(place);
    try {
      execFileSync(file, [...args, image], { stdio: 'pipe' });
      execFileSync('mount', ['-o', 'loop,prjquota', image, place], { stdio: 'pipe' });
    } catch (error) {
      context.skip(`${type} with project quotas cannot be used here: ${String(error)}`);
      return;
    }
    try {
      await sizes(join(place, 'data'));
    } finally {
      execFileSync('umount', [place]);
    }
  });
}

/** A shell's words that write so many MiB to a file. */
function write(path: string, mebibytes: number): string {
  return `dd if=/dev/zero of=${path} bs=1M count=${mebibytes}`;
}

function projectOf(path: string): number {
  const fd = openSync(path, 'r');
  try {
    return addon().projectOf(fd);
  } finally {
    closeSync(fd);
  }
}

function limitOf(dataRoot: string, project: number): number {
  const fd = openSync(dataRoot, 'r');
  try {
    return addon().projectUsage(fd, project).limitBytes;
  } finally {
    closeSync(fd);
  }
}

async function sizes(dataRoot: string): Promise<void> {
  const registry = await startRegistry();
  const busybox = await registry.push('busybox', 'latest', await busyboxImage());
  const daemon = await Daemon.start(['--data-root', dataRoot]).catch(async (error: unknown) => {
    await registry.stop();
    throw error;
  });
  const run = async (flags: readonly string[], line: string) =>
    await daemon.mydock(['run', '--rm', ...SIZED, ...flags, busybox, 'sh', '-c', line]);
  try {
    await daemon.ok('pull', '-q', busybox);
    await daemon.fails(1, /invalid size: 'lots'/, 'create', '--storage-opt', 'size=lots', busybox);

    for (const flags of [[], ['--privileged'], ['--cap-add', 'SYS_RESOURCE'], ['--userns', 'auto']]) {
      const full = await run(flags, write('/x', 20));
      assert.equal(full.code, 1, `${flags.join(' ')}: ${full.stderr}`);
      assert.match(full.stderr, FULL, flags.join(' '));
    }
    const grown = await run([], `cp -r /bin /copy && mv /copy /moved && rm -r /moved && ${write('/x', 8)}`);
    assert.equal(grown.code, 0, grown.stderr);
    const seen = await run([], 'df -k / | tail -n 1');
    assert.match(seen.stdout, /\s10240\s/, 'what is left is that of the limit');
    await leaving(daemon, busybox);

    await daemon.ok('volume', 'create', '-o', 'size=10M', 'limited');
    const mounts = ['-v', 'limited:/d'];
    await daemon.ok('run', '-d', '--name', 'kept', ...SIZED, ...mounts, busybox, 'sleep', '1000');
    await daemon.ok('exec', 'kept', 'sh', '-c', `${write('/x', 8)} && ${write('/d/x', 8)}`);
    assert.equal(await daemon.inspect('kept', '{{json .HostConfig.StorageOpt}}'), '{"size":"10M"}');
    const home = join(dataRoot, 'containers', await daemon.inspect('kept', '{{.Id}}'));
    const project = projectOf(join(home, 'upper'));
    assert.equal(projectOf(join(home, 'work')), project);
    assert.notEqual(projectOf(join(dataRoot, 'volumes/limited/_data')), project);
    assert.equal(limitOf(dataRoot, project), 10 << 20);
    await daemon.fails(1, FULL, 'exec', 'kept', 'sh', '-c', write('/y', 8));

    await daemon.ok('kill', 'kept');
    await daemon.stop();
    await daemon.launch();
    await daemon.ok('start', 'kept');
    // Full as it is, it is still writable.
    await daemon.ok('exec', 'kept', 'sh', '-c', 'rm /y && mkdir /made');
    await daemon.fails(1, FULL, 'exec', 'kept', 'sh', '-c', write('/y', 8));
    await daemon.ok('run', '--rm', ...SIZED, busybox, 'sh', '-c', write('/x', 8));
    assert.equal(projectOf(join(home, 'upper')), project);
    await daemon.ok('rm', '-f', 'kept');
    assert.equal(limitOf(dataRoot, project), 0, 'the project is free again');
    await daemon.ok('run', '--rm', busybox, 'sh', '-c', write('/x', 20));
  } finally {
    await registry.stop();
    await daemon.close();
  }
}

/**
 * The container's root takes nothing out of its project: neither a file, nor what is made in a directory. Its busybox has
 * no chattr: the host's is lent to it, with the libraries.
 */
async function leaving(daemon: Daemon, image: string): Promise<void> {
  const loader = '/usr/lib64/ld-linux-x86-64.so.2';
  if (!existsSync(loader) || !existsSync('/usr/bin/chattr')) return;
  const chattr = `/host${loader.slice(4)} --library-path /host/lib/x86_64-linux-gnu /host/bin/chattr`;
  for (const flags of ['-p 0', '-P']) {
    const line = `mkdir /sub; ${chattr} ${flags} /sub && echo changed; ${write('/sub/x', 20)}`;
    const tried = await daemon.mydock([
      'run',
      '--rm',
      ...SIZED,
      '-v',
      '/usr:/host:ro',
      image,
      'sh',
      '-c',
      line,
    ]);
    assert.equal(tried.code, 1, `chattr ${flags}: ${tried.stdout}${tried.stderr}`);
    assert.match(tried.stderr, FULL, flags);
    assert.match(tried.stderr, /Operation not permitted/, 'chattr itself was there and was refused');
  }
}
