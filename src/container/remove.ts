/** Removing a container with all that belongs to it. */

import { ConflictError, errorMessage, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { step, stepSync } from '../base/steps.ts';
import { mountedLayers } from '../volume/mount-points.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { settleRun } from './exit.ts';
import { containerPaths } from './paths.ts';
import type { ContainerRecord } from './record.ts';
import { discardHome } from './removed-homes.ts';
import { endViews } from './root-view.ts';
import { unmountRoot } from './rootfs.ts';
import { isRunning } from './state.ts';
import { endRun } from './stop.ts';
import { releaseRange } from './user-namespace-choice.ts';

export interface RemoveOptions {
  /** Kill it where it runs. */
  force: boolean;
  /** Its anonymous volumes too. */
  volumes: boolean;
}

/**
 * Runs `work`, which removes a container, unless another removal of it has begun or waits for its turn: throws Conflict
 * then, with Docker's text. `reference`: what the caller calls the container.
 */
export async function onlyRemoval<T>(
  container: Container,
  reference: string,
  work: () => Promise<T>,
): Promise<T> {
  if (container.removing) {
    throw new ConflictError(`removal of container ${reference} is already in progress`);
  }
  container.removing = true;
  try {
    return await work();
  } finally {
    container.removing = false;
  }
}

/** Removes a container; the caller holds its mutex. Throws Conflict where it runs and `force` is not given. */
export async function removeContainer(
  engine: EngineContext,
  container: Container,
  options: RemoveOptions,
): Promise<void> {
  if (engine.containers.find(container.id) !== container) return;
  const { state, name } = container.record;
  if (isRunning(state)) {
    if (!options.force && state.status === 'paused') {
      throw new ConflictError(
        `cannot remove container "/${name}": container is paused and must be unpaused first`,
      );
    }
    if (!options.force) {
      throw new ConflictError(
        `cannot remove container "/${name}": container is ${state.status}: stop the container before removing or force remove`,
      );
    }
    await endRun(engine, container, { signal: 'SIGKILL', timeoutSec: 0 });
  }
  clearTimeout(container.restartTimer);
  await settleRun(engine, container);
  const { id } = container;
  // For the next daemon, where this one does not come to the end.
  container.record.removesVolumes = options.volumes;
  stepSync('remove/record', id, () => container.transition({ to: 'removing' }));
  await step('remove/views', id, () => endViews(container));
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  await step('remove/root', id, () => unmountRoot(engine, id));
  stepSync('remove/home', id, () => discardHome(engine.settings.dataRoot, paths));
  const kept = await step('remove/volumes', id, () =>
    releaseVolumes(engine, container.record, options.volumes),
  );
  // As long as there is the container, the next try or the next daemon removes them with it.
  if (kept.length > 0) throw new InternalError(`cannot remove container "/${name}": ${kept.join('; ')}`);
  stepSync('remove/delete', id, () => engine.containers.delete(container));
  releaseRange(engine, container.record);
  await step('remove/layers', id, () =>
    engine.images.collectLayers([...container.record.layers, ...mountedLayers(container.record.mounts)]),
  );
  engine.events.container(container, 'destroy');
  container.removed();
}

/**
 * Lets go of a container's volumes; with `anonymous`, those that it alone used and that have no name go too. Tells which
 * of them are still there for another reason than that somebody uses them, and the reason.
 */
export async function releaseVolumes(
  engine: EngineContext,
  { id, mounts }: ContainerRecord,
  anonymous: boolean,
): Promise<string[]> {
  engine.volumes.releaseReferences(id);
  if (!anonymous) return [];
  const kept: string[] = [];
  for (const mount of mounts) {
    if (mount.type !== 'volume') continue;
    // Records of earlier builds do not say how their mount came by its volume.
    const wanted = mount.anonymous ?? engine.volumes.isAnonymous(mount.name);
    if (!wanted || engine.volumes.references(mount.name).length > 0) continue;
    await engine.volumes.remove(mount.name, true).catch((error: unknown) => {
      log.warn({ volume: mount.name, error: errorMessage(error) }, 'cannot remove an anonymous volume');
      if (error instanceof ConflictError || !engine.volumes.has(mount.name)) return;
      kept.push(`its volume ${mount.name}: ${errorMessage(error)}`);
    });
  }
  return kept;
}
