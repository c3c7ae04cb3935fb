/** Freezing a container's processes and letting them run on. The truth is the cgroup's: a new daemon reads it there. */

import { ConflictError } from '../base/errors.ts';
import { step, stepSync } from '../base/steps.ts';
import { freeze, isFrozen, thaw } from './cgroup/freezer.ts';
import { ContainerCgroup } from './cgroup/hierarchy.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { containerPaths } from './paths.ts';
import { requirePausable } from './state.ts';

/** The cgroups of a container that runs. Throws Internal where its bundle does not name them. */
export function cgroupOf(engine: EngineContext, container: Container): ContainerCgroup {
  const { bundle } = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  return ContainerCgroup.of(bundle);
}

/** Pauses a container; the caller holds its mutex. Throws Conflict where it does not run or is paused. */
export async function pauseContainer(engine: EngineContext, container: Container): Promise<void> {
  requirePausable(container.record.state, container.id);
  const cgroup = cgroupOf(engine, container);
  // Before execs that start are waited for: a signal may come in that time.
  container.thawWanted = false;
  await container.freezeGate.freeze(async () => {
    await step('pause/freeze', container.id, () => freeze(cgroup));
    // It may have ended, or been killed, while it froze.
    requirePausable(container.record.state, container.id);
    stepSync('pause/record', container.id, () => container.transition({ to: 'paused' }));
  });
  engine.events.container(container, 'pause');
  // The signal waits for that.
  if (container.thawWanted) unpauseContainer(engine, container);
}

/** Throws Conflict where the container is not paused. */
export function unpauseContainer(engine: EngineContext, container: Container): void {
  if (container.record.state.status !== 'paused') {
    throw new ConflictError(`Container ${container.id} is not paused`);
  }
  stepSync('unpause/thaw', container.id, () => thaw(cgroupOf(engine, container)));
  delete container.record.pausedForCommit;
  stepSync('unpause/record', container.id, () => container.transition({ to: 'unpaused' }));
  engine.events.container(container, 'unpause');
}

/** Brings the record of a running container in line with its cgroup. */
export function readPaused(engine: EngineContext, container: Container): void {
  const { status } = container.record.state;
  if (status !== 'running' && status !== 'paused') return;
  const frozen = isFrozen(cgroupOf(engine, container));
  if (frozen && status === 'running') container.transition({ to: 'paused' });
  if (!frozen && status === 'paused') container.transition({ to: 'unpaused' });
  if (container.record.pausedForCommit !== true) return;
  // The commit has ended with its daemon.
  if (frozen) unpauseContainer(engine, container);
  else delete container.record.pausedForCommit;
}
