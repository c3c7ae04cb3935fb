/** Builds on a disk that runs full: the message says which, what was begun is gone, and the next build works. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { busyboxImage } from '../../fixtures/catalog.ts';
import { type Registry, startRegistry } from '../../fixtures/registry.ts';
import { eventually } from '../command.ts';
import { Daemon } from '../harness.ts';

const DISK_MIB = 60;

let registry: Registry;
let reference: string;
before(async () => {
  registry = await startRegistry();
  reference = await registry.push('busybox', 'latest', await busyboxImage());
});
after(() => registry?.stop());

function context(dockerfile: string, bytes = 0): string {
  const folder = mkdtempSync(join(tmpdir(), 'context-'));
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  mkdirSync(join(folder, 'files'));
  for (let i = 0; i * 10 < bytes >> 20; i++)
    writeFileSync(join(folder, 'files', String(i)), randomBytes(10 << 20));
  return folder;
}

/** What builds under way have on the disk. */
function begun(disk: string): string[] {
  return ['build/trees', 'build/runs', 'archives'].flatMap((name) => {
    const path = join(disk, name);
    return existsSync(path) ? readdirSync(path).map((entry) => `${name}/${entry}`) : [];
  });
}

for (const driver of ['erofs', 'overlay']) {
  describe(`a disk that runs full, ${driver}`, () => {
    let disk: string;
    let daemon: Daemon;
    before(async () => {
      disk = mkdtempSync(join(tmpdir(), 'disk-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'small', disk]);
      daemon = await Daemon.start(['--storage-driver', driver, '--data-root', disk]);
      await daemon.ok('pull', '-q', reference);
      await daemon.ok('tag', reference, 'busybox');
    });
    after(async () => {
      await daemon?.close();
      execFileSync('umount', ['-l', disk]);
    });

    async function failsFull(folder: string, message: RegExp): Promise<void> {
      const failed = await daemon.mydock(['build', '-q', folder]);
      assert.equal(failed.code, 1, failed.stderr);
      assert.match(failed.stderr, message);
      await eventually('nothing of it is left', () => begun(disk).length === 0);
      // What cache mounts hold is not the failed build's alone.
      await daemon.ok('builder', 'prune', '-af');
      const check = await daemon.mydock(['system', 'check']);
      assert.equal(check.code, 0, check.stdout + check.stderr);
      await daemon.ok('build', '-q', context('FROM busybox\nRUN echo next > /next\nCOPY files /files\n'));
      await daemon.ok('image', 'prune', '-f');
      await daemon.ok('builder', 'prune', '-af');
    }

    test('while a COPY writes its layer', async () => {
      const folder = context('FROM busybox\nCOPY files /files\n', 100 << 20);
      await failsFull(folder, /the disk of .*\/build\/trees is full .*no space left on device/);
    });

    test('while what a RUN has written is stored, and the next step has ended', async () => {
      const mib = driver === 'erofs' ? 35 : 25;
      const write = `dd if=/dev/urandom of=/x bs=1M count=${mib}`;
      await failsFull(
        context(`FROM busybox\nRUN ${write}\nRUN echo above > /above\n`),
        /the disk of .* is full .*no space left on device/,
      );
    });

    test('to the last byte: a container that cannot start says which file cannot be written', async () => {
      const filler = join(disk, 'filler');
      const fill = `dd if=/dev/zero of=${filler} bs=64k; while echo >> ${filler}; do :; done`;
      try {
        execFileSync('sh', ['-c', fill], { stdio: 'ignore' });
        const ran = await daemon.mydock(['run', '--rm', 'busybox', 'true']);
        assert.match(ran.stderr, new RegExp(`${disk}/.*no space left on device`));
      } finally {
        rmSync(filler, { force: true });
      }
      await daemon.ok('run', '--rm', 'busybox', 'true');
    });

    test('to the last byte: a build whose Dockerfile or context comes as its body says which disk is full', async () => {
      const dockerfile = 'FROM busybox\nCOPY files /files\n';
      const tar = execFileSync('tar', ['-C', context(dockerfile, 10 << 20), '-c', '.'], {
        maxBuffer: 64 << 20,
      });
      const filler = join(disk, 'filler');
      const fill = `dd if=/dev/zero of=${filler} bs=64k; while echo >> ${filler}; do :; done`;
      try {
        execFileSync('sh', ['-c', fill], { stdio: 'ignore' });
        for (const input of ['FROM busybox\nRUN echo > /x\n', tar]) {
          const failed = await daemon.mydock(['build', '-q', '-'], { stdin: input });
          assert.equal(failed.code, 1, failed.stderr);
          assert.match(
            failed.stderr,
            /the disk of .*\/build\/trees is full \("mydock builder prune" .*no space left on device/,
          );
          assert.equal(failed.stderr.split(' is full ').length, 2, failed.stderr);
        }
      } finally {
        rmSync(filler, { force: true });
      }
      await eventually('nothing of it is left', () => begun(disk).length === 0);
      for (const input of ['FROM busybox\nRUN echo > /x\n', tar]) {
        const built = await daemon.mydock(['build', '-q', '-'], { stdin: input });
        assert.equal(built.code, 0, built.stderr);
      }
      await daemon.ok('image', 'prune', '-f');
      await daemon.ok('builder', 'prune', '-af');
    });

    test('by a RUN itself, and by what it writes to a cache mount', async () => {
      const write = 'dd if=/dev/urandom bs=1M count=200 of=';
      await failsFull(context(`FROM busybox\nRUN ${write}/x\n`), /No space left on device/);
      await failsFull(
        context(`FROM busybox\nRUN --mount=type=cache,target=/c ${write}/c/x\n`),
        /No space left on device/,
      );
    });
  });
}
