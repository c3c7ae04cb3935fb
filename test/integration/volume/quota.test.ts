/** volume create -o size=…: a limit where the file system has project quotas, a clear error where it has none. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { startRegistry } from '../../fixtures/registry.ts';
import { Daemon } from '../harness.ts';

test('sizes that are none are refused, and file systems that cannot are named', async () => {
  const daemon = await Daemon.start();
  try {
    await daemon.fails(1, /invalid size: 'lots'/, 'volume', 'create', '-o', 'size=lots', 'limited');
    await daemon.fails(
      1,
      /invalid size: '1k' is less than 64k/,
      ...['volume', 'create', '-o', 'size=1k', 'limited'],
    );
    const result = await daemon.mydock(['volume', 'create', '-o', 'size=10m', 'limited']);
    if (result.code === 0) return;
    assert.match(
      result.stderr,
      /create limited: volume limited: size limits need project quotas: the file system of \S+ \(\w+\) (is mounted without prjquota|has none)/,
    );
    assert.ok(!existsSync(join(daemon.dataRoot, 'volumes/limited')));
    assert.equal(await daemon.ok('volume', 'ls', '-q'), '');
  } finally {
    await daemon.close();
  }
});

for (const [type, make] of [
  ['ext4', ['mkfs.ext4', '-q', '-O', 'project,quota']],
  ['xfs', ['mkfs.xfs', '-q']],
] as const) {
  test(`a limit on ${type}`, async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'quota-'));
    context.after(() => rmSync(folder, { recursive: true }));
    const [image, place] = [join(folder, `${type}.img`), join(folder, type)];
    writeFileSync(image, '');
    truncateSync(image, 512 << 20);
    mkdirSync(place);
    const [file = '', ...args] = make;
    try {
      execFileSync(file, [...args, image], { stdio: 'pipe' });
      execFileSync('mount', ['-o', 'loop,prjquota', image, place], { stdio: 'pipe' });
    } catch (error) {
      context.skip(`${type} with project quotas cannot be used here: ${String(error)}`);
      return;
    }
    try {
      await limits(join(place, 'data'));
    } finally {
      execFileSync('umount', [place]);
    }
  });
}

async function limits(dataRoot: string): Promise<void> {
  const registry = await startRegistry();
  const reference = await registry.push('busybox', 'latest', await busyboxImage());
  const other = await Daemon.start(['--data-root', dataRoot]);
  try {
    await other.ok('pull', '-q', reference);
    const fill = async (volume: string) =>
      await other.mydock([
        'run',
        '--rm',
        '-v',
        `${volume}:/d`,
        reference,
        'dd',
        'if=/dev/zero',
        'of=/d/x',
        'bs=1M',
        'count=20',
      ]);
    await other.ok('volume', 'create', '-o', 'size=10M', 'limited');
    const full = await fill('limited');
    assert.equal(full.code, 1);
    assert.match(full.stderr, /No space left on device|Disk quota exceeded/);
    const status = await other.ok('volume', 'inspect', '-f', '{{json .Status}}', 'limited');
    const { Size } = JSON.parse(status) as { Size: { LimitBytes: number; UsedBytes: number } };
    assert.equal(Size.LimitBytes, 10 << 20);
    assert.ok(Size.UsedBytes > 9 << 20 && Size.UsedBytes <= 10 << 20, status);
    await other.ok('volume', 'clone', 'limited', 'copy');
    assert.equal((await fill('copy')).code, 1, 'the clone has the limit as well');
    await other.ok('volume', 'snapshot', 'create', 'limited', 'full');
    await other.ok('volume', 'snapshot', 'restore', 'limited', 'full');
    assert.equal((await fill('limited')).code, 1, 'the limit is in force after a restore');
    const tar = join(dataRoot, '../limited.tar');
    await other.ok('volume', 'export', '-o', tar, 'limited');
    await other.ok('volume', 'create', '-o', 'size=5M', 'small');
    await other.fails(1, /import small: .*(does not fit|No space|quota)/i, 'volume', 'import', 'small', tar);
    assert.equal(await other.ok('run', '--rm', '-v', 'small:/d', reference, 'ls', '/d'), '');
    await other.ok('volume', 'rm', '-f', 'limited');
    await other.ok('volume', 'create', 'limited');
    assert.equal((await fill('limited')).code, 0, 'a limit goes with its volume');
  } finally {
    await other.close();
    await registry.stop();
  }
}
