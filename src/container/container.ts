/**
 * One container in memory: its record, its supervisor while it runs, who waits for it, and whose connection waits for
 * its start. Changes of state go through `transition`, which stores them before anybody hears of them.
 */
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import type { PassedAttachment } from './attach.ts';
import type { ExecSession } from './exec.ts';
import { FreezeGate } from './freeze-gate.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { ContainerRecord, RecordTable } from './record.ts';
import type { RootView } from './root-view.ts';
import { endOf, isLive, next, type Transition } from './state.ts';
import type { Supervisor } from './supervisor.ts';

export interface ExitStatus {
  exitCode: number;
  error: string;
}

/** A client's connection that waits to be given to the supervisor. */
export interface PendingAttachment {
  handTo(supervisor: Supervisor): void;
  /** Lends it to another daemon: `use` gets a descriptor of the connection, to be duplicated, where it is still there. */
  pass(use: (fd: number, attachment: PassedAttachment) => void): void;
  close(): void;
}

export class Container {
  readonly record: ContainerRecord;
  /** Serialises start, stop, remove and the like. */
  readonly mutex = new Mutex();
  readonly freezeGate = new FreezeGate();
  readonly execs = new Map<string, ExecSession>();
  readonly pendingAttachments = new Set<PendingAttachment>();
  /** Who looks into its root filesystem (root-view.ts), and whether that is mounted by this daemon. */
  readonly views = new Set<RootView>();
  rootMounted = false;
  supervisor: Supervisor | undefined;
  /** Settles when what the last run held is given back; a start waits for it. */
  teardown: Promise<void> = Promise.resolve();
  /** Some of it could not be given back yet (exit.ts). */
  owesRelease = false;
  /** Not to be removed at the end of its run, `--rm` or not: a restart is under way. */
  keep = false;
  /** What its run holds, as far as events have told: networks by ID (network.ts), volumes (volume-events.ts). */
  readonly toldNetworks = new Map<string, { name: string; type: string }>();
  volumesMounted = false;
  /** Its memory has run out in the run that goes on, as far as this daemon has heard. */
  oomKilled = false;
  /** Settles when the start that is under way has come to its end, however; undefined without one. */
  starting: Promise<void> | undefined;
  /** A signal that lets a paused container run on was sent while it was being frozen (stop.ts). */
  thawWanted = false;
  /** A stop waits for its run to end. */
  stopping = false;
  /** Somebody removes it, or waits for what is under way to do so (remove.ts). */
  removing = false;
  /** A removal that nobody waits for is tried again until it succeeds (after-run.ts). */
  removalOwed = false;
  healthMonitor: HealthMonitor | undefined;
  /** Milliseconds before the next restart of an unhealthy container; 0 once it was healthy. */
  unhealthyDelayMs = 0;
  restartTimer: NodeJS.Timeout | undefined;
  /** Milliseconds before the next automatic restart; doubles up to a minute, and starts anew after a good run. */
  restartDelayMs = 0;

  readonly #table: RecordTable;
  readonly #exitWaiters = new Set<(status: ExitStatus) => void>();
  readonly #removeWaiters = new Set<(status: ExitStatus) => void>();

  constructor(record: ContainerRecord, table: RecordTable) {
    this.record = record;
    this.#table = table;
  }

  get id(): string {
    return this.record.id;
  }

  /** It has processes; also while it is paused. */
  get running(): boolean {
    return isLive(this.record.state);
  }

  save(): void {
    this.#table.save(this.record);
  }

  /**
   * Changes the state and stores it; waiters of an end are told. Throws Conflict where it cannot follow, and where a
   * start cannot be stored; an end that cannot be stored (a full disk) still is one.
   */
  transition(transition: Transition): void {
    const before = this.record.state;
    this.record.state = next(before, transition);
    try {
      this.save();
    } catch (error) {
      if (transition.to === 'running' || transition.to === 'removing') {
        this.record.state = before;
        throw error;
      }
      log.error({ container: this.id, error: errorMessage(error) }, 'cannot store the end of a run');
    }
    if (transition.to === 'exited' || transition.to === 'failed' || transition.to === 'restarting') {
      this.#notify(this.#exitWaiters);
    }
  }

  /** How its last run ended. */
  exitStatus(): ExitStatus {
    const { exitCode, error } = endOf(this.record.state);
    return { exitCode, error };
  }

  /** Resolves at the next end of a run. The subscription stands when this returns. */
  nextExit(signal: AbortSignal): Promise<ExitStatus> {
    return subscribe(this.#exitWaiters, signal);
  }

  /** Resolves when the container is gone, with its last exit status. */
  removal(signal: AbortSignal): Promise<ExitStatus> {
    return subscribe(this.#removeWaiters, signal);
  }

  /** Tells everybody who waits that the container is no more. */
  removed(): void {
    this.#notify(this.#removeWaiters);
    this.#notify(this.#exitWaiters);
    for (const pending of this.pendingAttachments) pending.close();
    this.pendingAttachments.clear();
  }

  #notify(waiters: Set<(status: ExitStatus) => void>): void {
    const status = this.exitStatus();
    for (const waiter of [...waiters]) waiter(status);
    waiters.clear();
  }
}

/** Rejects with the signal's reason where the client goes away first. */
function subscribe(waiters: Set<(status: ExitStatus) => void>, signal: AbortSignal): Promise<ExitStatus> {
  return new Promise((resolve, reject) => {
    const waiter = (status: ExitStatus): void => {
      signal.removeEventListener('abort', onAbort);
      resolve(status);
    };
    const onAbort = (): void => {
      waiters.delete(waiter);
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    waiters.add(waiter);
  });
}
