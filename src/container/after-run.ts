/** What the engine does by itself when a run has ended: restart by policy, or remove an `--rm` container. */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { retryLater } from '../base/retry-later.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { onlyRemoval, removeContainer } from './remove.ts';
import { restartDelayMs, shouldRestart } from './restart-policy.ts';
import { startContainer } from './start.ts';
import { endOf, isRunning } from './state.ts';

/** To be called when the end is stored; returns at once. */
export function afterRun(engine: EngineContext, container: Container, ranMs: number): void {
  if (container.record.state.status === 'restarting') scheduleRestart(engine, container, ranMs);
  else if (container.record.hostConfig.AutoRemove === true && !isKept(container))
    removeSoon(engine, container);
}

/** A restart is under way, by this daemon or from the one before it. */
function isKept({ keep, record }: Container): boolean {
  return keep || record.ending?.restarts === true;
}

function removeSoon(engine: EngineContext, container: Container): void {
  const remove = (): Promise<void> =>
    container.mutex.run(() => removeContainer(engine, container, { force: false, volumes: true }));
  // A removal that somebody has asked for may yet be refused.
  const removed = container.removing ? remove() : onlyRemoval(container, container.id, remove);
  removed.catch((error: unknown) => removeLater(engine, container, { volumes: true, error }));
}

/**
 * A removal that nobody waits for has failed, as for want of room or descriptors: tried again, less and less often, until
 * the container is gone or runs again. What this daemon does not come to, the next one does at its start.
 */
export function removeLater(
  engine: EngineContext,
  container: Container,
  { volumes, error }: { volumes: boolean; error: unknown },
): void {
  const { id } = container;
  log.error({ container: id, error: errorMessage(error) }, 'cannot remove a container: it is tried again');
  if (container.removalOwed) return;
  container.removalOwed = true;
  const remove = async (): Promise<void> => {
    if (isRunning(container.record.state) || !engine.accepting()) return;
    await removeContainer(engine, container, { force: false, volumes });
  };
  const again = async (): Promise<void> => {
    await onlyRemoval(container, id, () => container.mutex.run(remove));
    container.removalOwed = false;
  };
  retryLater(again, (still) =>
    log.debug({ container: id, error: errorMessage(still) }, 'a container still cannot be removed'),
  );
}

function scheduleRestart(engine: EngineContext, container: Container, ranMs: number): void {
  container.restartDelayMs = restartDelayMs(container.restartDelayMs, ranMs);
  // What ended before this daemon came is started with the others that restart policies want up.
  if (!engine.restored() || !engine.accepting()) return;
  container.restartTimer = setTimeout(() => {
    void container.mutex.run(() => restartNow(engine, container));
  }, container.restartDelayMs);
}

/** A restart that fails counts as a run that failed: the policy decides about the next. */
async function restartNow(engine: EngineContext, container: Container): Promise<void> {
  if (container.record.state.status !== 'restarting' || !engine.accepting()) return;
  try {
    await startContainer(engine, container);
  } catch (error) {
    log.warn({ container: container.id, error: errorMessage(error) }, 'cannot restart a container');
    const end = endOf(container.record.state);
    const { hostConfig, restartCount, stoppedByUser } = container.record;
    const again = shouldRestart(hostConfig.RestartPolicy, {
      exitCode: end.exitCode,
      restartCount,
      stoppedByUser,
    });
    if (!again) return;
    container.record.restartCount++;
    container.transition({ to: 'restarting', end });
    scheduleRestart(engine, container, 0);
  }
}
