/** A data root on a file system that limits trees by project quotas: ext4, in a file. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultedDaemon } from './faulted-daemon.ts';

const SIZE_MIB = 512;

/** Before the daemon's first start; its `close` unmounts it. Throws where there is no such file system here. */
export function mountSizedRoot({ folder, dataRoot }: FaultedDaemon): void {
  const image = join(folder, 'sized.img');
  writeFileSync(image, '');
  truncateSync(image, SIZE_MIB << 20);
  mkdirSync(dataRoot);
  execFileSync('mkfs.ext4', ['-q', '-O', 'project,quota', image], { stdio: 'pipe' });
  execFileSync('mount', ['-o', 'loop,prjquota', image, dataRoot], { stdio: 'pipe' });
}
