/** The EROFS driver passes the shared suite, mounting from files and from loop devices. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'node:test';
import { snapshotterSuite } from '../snapshotter-suite.ts';
import type { MountMethod } from './image-mount.ts';
import { probeErofs } from './probe.ts';
import { ErofsSnapshotter } from './snapshotter.ts';

function refusal(method: MountMethod): string | false {
  const directory = mkdtempSync(join(tmpdir(), 'mydock-probe-'));
  try {
    const probe = probeErofs(directory, [method]);
    return 'refused' in probe ? probe.refused : false;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

for (const method of ['file-backed', 'loop devices'] as const) {
  describe(`erofs, ${method}`, { skip: refusal(method) }, () => {
    snapshotterSuite({
      open: (root) => {
        mkdirSync(root, { recursive: true });
        return new ErofsSnapshotter(root, { mountDirectory: `${root}-mounts`, method, lasting: false });
      },
      leftovers: (root) => readdirSync(root).filter((name) => !/^(?:[0-9a-f]{64}|images)$/.test(name)),
    });
  });
}
