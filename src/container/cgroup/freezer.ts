/**
 * Freezing all processes of a container: the freezer controller on v1 (the kernel's cgroup-v1/freezer-subsystem),
 * cgroup.freeze on v2. What is frozen stays so whoever dies, so the state can be read back at any time.
 */
import { setTimeout } from 'node:timers/promises';
import { InternalError } from '../../base/errors.ts';
import { type ContainerCgroup, hasCgroupFile, readCgroupFile, writeCgroupFile } from './hierarchy.ts';

/** A process in an uninterruptible wait freezes only when that ends. */
const FREEZE_TIMEOUT_MS = 10_000;
const POLL_MS = 2;

/** Freezes and waits until everything is. Throws Internal, with all thawed again, where that does not come about. */
export async function freeze(cgroup: ContainerCgroup): Promise<void> {
  const deadline = performance.now() + FREEZE_TIMEOUT_MS;
  write(cgroup, true);
  while (!isFrozen(cgroup)) {
    if (performance.now() >= deadline) {
      thaw(cgroup);
      throw new InternalError(`the container's processes did not freeze within ${FREEZE_TIMEOUT_MS} ms`);
    }
    await setTimeout(POLL_MS);
    // On v1 a fork that raced with the freezer leaves the group FREEZING until it is told again.
    if (cgroup.v1('freezer') !== undefined) write(cgroup, true);
  }
}

/** Lets everything run on; nothing frozen is no error. */
export function thaw(cgroup: ContainerCgroup): void {
  write(cgroup, false);
}

export function isFrozen(cgroup: ContainerCgroup): boolean {
  const v1 = cgroup.v1('freezer');
  if (v1 !== undefined) return readCgroupFile(v1, 'freezer.state') === 'FROZEN';
  const { v2 } = cgroup;
  return v2 !== undefined && /^frozen 1$/m.test(readCgroupFile(v2, 'cgroup.events') ?? '');
}

function write(cgroup: ContainerCgroup, frozen: boolean): void {
  const v1 = cgroup.v1('freezer');
  if (v1 !== undefined) {
    writeCgroupFile(v1, 'freezer.state', frozen ? 'FROZEN' : 'THAWED');
    return;
  }
  const { v2 } = cgroup;
  if (v2 === undefined || !hasCgroupFile(v2, 'cgroup.freeze')) {
    throw new InternalError('cannot pause a container: this host has no freezer cgroup');
  }
  writeCgroupFile(v2, 'cgroup.freeze', frozen ? '1' : '0');
}
