/**
 * The end of a run: its state is stored and told at once, what it held is given back behind that, and then the
 * restart policy or `--rm` has its turn (after-run.ts).
 */

import { existsSync } from 'node:fs';
import { errorMessage, InternalError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { retryLater } from '../base/retry-later.ts';
import { step, stepSync } from '../base/steps.ts';
import type { ExitRecord } from '../native/supervisor-protocol.ts';
import { volumeNames } from '../volume/run-mounts.ts';
import { removeCgroupLeftovers } from './cgroup-leftovers.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { endHealth } from './health-monitor.ts';
import { detachNetworks, tellAllDisconnected } from './network.ts';
import { containerPaths } from './paths.ts';
import { shouldRestart } from './restart-policy.ts';
import { unmountRoot } from './rootfs.ts';
import type { Ended } from './state.ts';
import { tellVolumesUnmounted } from './volume-events.ts';

/** Takes the end of a container's init. Not under the mutex: a stop that holds it waits for this. */
export function handleExit(engine: EngineContext, container: Container, exit: ExitRecord): void {
  const end: Ended = {
    startedAt: exit.startedAt,
    finishedAt: exit.exitedAt,
    exitCode: exit.exitCode,
    oomKilled: exit.oomKilled,
    error: exit.error,
  };
  endHealth(container);
  container.supervisor?.disconnect();
  container.supervisor = undefined;
  for (const session of container.execs.values()) session.abandoned();
  container.teardown = releaseRun(engine, container).catch((error: unknown) =>
    releaseLater(engine, container, error),
  );
  if (end.oomKilled) engine.events.container(container, 'oom');
  const restart = willRestart(container, end);
  if (container.record.ending?.restarts !== true) delete container.record.ending;
  // With the end, so that no daemon's death lets a container have more restarts than its policy says.
  if (restart) container.record.restartCount++;
  stepSync('exit/record', container.id, () =>
    container.transition({ to: restart ? 'restarting' : 'exited', end }),
  );
  engine.events.container(container, 'die', {
    exitCode: String(end.exitCode),
    execDuration: String(Math.max(0, Math.floor(runMs(end) / 1000))),
  });
  engine.afterRun(container, runMs(end));
}

/**
 * Gives back what the last run held, if that has not been possible yet. To be called under the mutex. Throws Internal
 * where it still is not.
 */
export async function settleRun(engine: EngineContext, container: Container): Promise<void> {
  await container.teardown;
  if (!container.owesRelease) return;
  try {
    await releaseRun(engine, container);
  } catch (error) {
    throw new InternalError(`cannot clean up after the last run of container ${container.id}`, error);
  }
  container.owesRelease = false;
}

/** What a run held could not be given back: the next start or removal does it, or this by itself. */
export function releaseLater(engine: EngineContext, container: Container, error: unknown): void {
  log.error(
    { container: container.id, error: errorMessage(error) },
    'cannot clean up after a run: it is tried again',
  );
  if (container.owesRelease) return;
  container.owesRelease = true;
  const again = (): Promise<void> =>
    container.mutex.run(async () => {
      if (engine.accepting()) await settleRun(engine, container);
    });
  retryLater(again, (still) =>
    log.debug({ container: container.id, error: errorMessage(still) }, 'still cannot clean up after a run'),
  );
}

/** Gives back what a run held: mounts, network, run-time files. Idempotent. */
export async function releaseRun(engine: EngineContext, container: Container): Promise<void> {
  const paths = containerPaths(engine.settings.dataRoot, engine.settings.execRoot, container.id);
  // A supervisor that ends by itself removes the cgroups, and after that its socket: this one was killed.
  if (existsSync(paths.socket)) {
    await step('exit/cgroups', container.id, () => removeCgroupLeftovers(paths.bundle));
  }
  const results = await Promise.allSettled([
    step('exit/root', container.id, () => unmountRoot(engine, container.id)),
    step('exit/network', container.id, () => detachNetworks(engine, container)),
    step('exit/volumes', container.id, () =>
      engine.volumes.release(volumeNames(container.record.mounts), container.id),
    ),
  ]);
  tellAllDisconnected(engine, container);
  tellVolumesUnmounted(engine, container);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** By this daemon, or, where this one begins nothing any more, by the next: the count is the same. */
function willRestart({ record }: Container, { exitCode }: Ended): boolean {
  const { hostConfig, restartCount, stoppedByUser } = record;
  return shouldRestart(hostConfig.RestartPolicy, { exitCode, restartCount, stoppedByUser });
}

/** The record of a run that ended without one: the supervisor was killed, or the machine went down. */
export function lostRun(container: Container, exitCode: number, error: string): ExitRecord {
  const { startedAt } = container.record.state;
  return { exitCode, signal: 0, oomKilled: false, startedAt, exitedAt: new Date().toISOString(), error };
}

function runMs(end: Ended): number {
  return Date.parse(end.finishedAt) - Date.parse(end.startedAt);
}
