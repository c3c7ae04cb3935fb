/** Ending a container's run: stop with its signal and patience, kill with any signal, restart. */

import { ConflictError, errorMessage, InternalError, NotModifiedError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { LONGEST_TIMER_MS } from '../base/longest-timer.ts';
import { parseSignal, signalName } from '../base/signals.ts';
import { stepSync } from '../base/steps.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { unpauseContainer } from './pause.ts';
import { startContainer } from './start.ts';
import { endOf, isRunning } from './state.ts';

const SIGKILL = 9;
const DEFAULT_TIMEOUT_SEC = 10;
/** After SIGKILL the kernel may still need this long, for I/O that cannot be interrupted. */
const KILL_PATIENCE_MS = 30_000;

export interface StopOptions {
  /** Seconds before SIGKILL; negative: never. Undefined: the container's, or 10. */
  timeoutSec?: number | undefined;
  /** Name or number; undefined: the container's, or SIGTERM. */
  signal?: string | undefined;
  /** It is started again afterwards, by the next daemon where this one does not come to that. */
  restarts?: boolean | undefined;
}

/** Stops a container; the caller holds its mutex. Throws NotModified where it does not run. */
export async function stopContainer(
  engine: EngineContext,
  container: Container,
  options: StopOptions,
): Promise<void> {
  await endRun(engine, container, options);
  engine.events.container(container, 'stop');
}

/** The same without the `stop` event, for a run that ends because its container is removed. */
export async function endRun(
  engine: EngineContext,
  container: Container,
  options: StopOptions,
): Promise<void> {
  const signal = parseSignal(options.signal || stopSignal(container));
  if (cancelRestart(container)) return;
  if (!container.running) throw new NotModifiedError(`container ${container.id} is not running`);
  const timeoutSec = options.timeoutSec ?? container.record.config.StopTimeout ?? DEFAULT_TIMEOUT_SEC;
  const signalledAt = new Date().toISOString();
  container.record.ending = { signalledAt, timeoutSec, restarts: options.restarts === true };
  markStopped(container);
  const ended = untilEnd(engine, container, timeoutSec < 0 ? undefined : timeoutSec * 1000);
  sendSignal(engine, container, signal);
  resume(engine, container, signal);
  await ended;
}

/**
 * Goes on with a stop or restart that another daemon has begun, or this one has given up. To be called when the API
 * answers; returns at once.
 */
export function continueEnding(engine: EngineContext, container: Container): void {
  const { ending } = container.record;
  if (ending === undefined || !container.running) return;
  const { signalledAt, timeoutSec, restarts } = ending;
  // A clock that was set back makes it wait longer, and never longer than at first.
  const waitedMs = Math.max(0, Date.now() - Date.parse(signalledAt));
  const leftMs = timeoutSec < 0 ? undefined : Math.max(0, timeoutSec * 1000 - waitedMs);
  log.info({ container: container.id, leftMs, restarts }, 'goes on with a stop that was under way');
  const finish = async (): Promise<void> => {
    // Somebody has stopped it, or started it anew, before its turn came.
    if (container.record.ending !== ending) return;
    if (container.running) await untilEnd(engine, container, leftMs);
    engine.events.container(container, 'stop');
    if (restarts) await startAgain(engine, container);
  };
  void container.mutex.run(finish).catch((error: unknown) => {
    log.error({ container: container.id, error: errorMessage(error) }, 'cannot go on with a stop');
  });
}

/** Waits for the end of a run whose stop signal is sent, or is about to be, and kills it after `patienceMs`. */
async function untilEnd(
  engine: EngineContext,
  container: Container,
  patienceMs: number | undefined,
): Promise<void> {
  const patience = new AbortController();
  const exited = container.nextExit(AbortSignal.any([patience.signal, engine.stopsGivenUp()]));
  container.stopping = true;
  const over = (): void => {
    container.stopping = false;
  };
  void exited.then(over, over);
  if (!(await within(exited, patienceMs))) {
    log.debug({ container: container.id, patienceMs }, 'container did not stop in time: SIGKILL');
    sendSignal(engine, container, SIGKILL);
    resume(engine, container, SIGKILL);
    if (!(await within(exited, KILL_PATIENCE_MS))) {
      patience.abort();
      // Its caller is told that it has failed: whenever it ends, nothing follows from it.
      delete container.record.ending;
      container.save();
      throw new InternalError(
        `cannot stop container: ${container.id}: it did not end ${KILL_PATIENCE_MS} ms after SIGKILL`,
      );
    }
  }
  await container.teardown;
}

/** Ends the patience of a stop that is under way; without one nothing happens. */
export function interruptStop(container: Container): void {
  if (!container.stopping) return;
  try {
    container.supervisor?.send('kill', { process: '', signal: SIGKILL, all: false });
  } catch (error) {
    log.debug({ container: container.id, error: errorMessage(error) }, 'signal not sent');
  }
}

/**
 * Sends a signal to the init. SIGKILL and the stop signal count as the user's wish to stop. A stop that waits is not waited
 * for; a start by the restart policy is.
 */
export async function killContainer(
  engine: EngineContext,
  container: Container,
  signalText: string,
): Promise<void> {
  const signal = parseSignal(signalText || 'SIGKILL');
  const final = signal === SIGKILL || signal === parseSignal(stopSignal(container));
  if (final && container.record.state.status === 'restarting') {
    if (container.starting === undefined) {
      cancelRestart(container);
      return;
    }
    // The policy starts it no more where this start fails.
    container.record.stoppedByUser = true;
    await container.starting;
    if (!container.running) return;
  }
  if (!container.running) {
    throw new ConflictError(
      `cannot kill container: ${container.id}: container ${container.id} is not running`,
    );
  }
  if (final) markStopped(container);
  sendSignal(engine, container, signal);
  resume(engine, container, signal);
}

/** Stop, where it runs, and start again; the caller holds the mutex. */
export async function restartContainer(
  engine: EngineContext,
  container: Container,
  options: StopOptions,
): Promise<void> {
  // An --rm container lives on through its restart.
  container.keep = true;
  try {
    if (isRunning(container.record.state)) {
      await stopContainer(engine, container, { ...options, restarts: true });
    }
    await startAgain(engine, container);
  } finally {
    container.keep = false;
    // It could not be started, or has ended by now.
    if (!isRunning(container.record.state)) engine.afterRun(container, 0);
  }
}

async function startAgain(engine: EngineContext, container: Container): Promise<void> {
  container.record.stoppedByUser = false;
  container.restartDelayMs = 0;
  await startContainer(engine, container);
  engine.events.container(container, 'restart');
}

function stopSignal(container: Container): string {
  return container.record.config.StopSignal || 'SIGTERM';
}

function markStopped(container: Container): void {
  container.record.stoppedByUser = true;
  stepSync('stop/mark', container.id, () => container.save());
}

/** Ends the wait for an automatic restart; false where there is none. */
function cancelRestart(container: Container): boolean {
  const state = container.record.state;
  if (state.status !== 'restarting') return false;
  clearTimeout(container.restartTimer);
  container.record.stoppedByUser = true;
  stepSync('stop/cancel-restart', container.id, () =>
    container.transition({ to: 'exited', end: endOf(state) }),
  );
  return true;
}

function sendSignal(engine: EngineContext, container: Container, signal: number): void {
  try {
    stepSync('stop/signal', container.id, () =>
      container.supervisor?.send('kill', { process: '', signal, all: false }),
    );
  } catch (error) {
    // A supervisor that is gone has ended its container: the exit is on its way to us.
    log.debug({ container: container.id, error: errorMessage(error) }, 'signal not sent');
    return;
  }
  engine.events.container(container, 'kill', { signal: String(signal) });
  log.debug({ container: container.id, signal: signalName(signal) }, 'signal sent');
}

/**
 * A paused container gets its signal when it runs on, which Docker lets it do at once, except for signals beside a
 * stop signal of its own.
 */
function resume(engine: EngineContext, container: Container, signal: number): void {
  const { config, state } = container.record;
  const own = config.StopSignal ?? '';
  if (own !== '' && signal !== SIGKILL && signal !== parseSignal(own)) return;
  if (state.status !== 'paused') {
    // One that is being frozen takes no signal any more, and is not paused yet (pause.ts).
    container.thawWanted = true;
    return;
  }
  try {
    unpauseContainer(engine, container);
  } catch (error) {
    // v2 kills what is frozen: the cgroup may be gone.
    log.debug({ container: container.id, error: errorMessage(error) }, 'container not resumed');
  }
}

/** True where `promise` resolves within `ms` (undefined: however long it takes). */
async function within(promise: Promise<unknown>, ms: number | undefined): Promise<boolean> {
  if (ms === undefined) {
    await promise;
    return true;
  }
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), Math.min(ms, LONGEST_TIMER_MS));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
