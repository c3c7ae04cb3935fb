/**
 * A container's lifecycle: the states it can be in, what may follow what, and what the user is told where a verb does
 * not fit the state. Everything here is pure; the engine performs what a transition stands for.
 *
 *                paused
 *                 │  ▲
 *                 ▼  │
 *   created ──▶ running ──▶ exited ──▶ running …
 *                  │  ▲        ▲
 *                  ▼  │        │
 *               restarting ────┘      any but running and paused ──▶ removing
 */
import { ConflictError, NotModifiedError } from '../base/errors.ts';

export interface Ended {
  startedAt: string;
  finishedAt: string;
  exitCode: number;
  oomKilled: boolean;
  /** Why it could not start or was lost; empty for a normal end. */
  error: string;
}

export interface Live {
  pid: number;
  startedAt: string;
  last: Ended;
}

export type ContainerState =
  | ({ status: 'created' } & Ended)
  | ({ status: 'running' } & Live)
  /** Its processes are there and frozen. */
  | ({ status: 'paused' } & Live)
  | ({ status: 'restarting' } & Ended)
  | ({ status: 'exited' } & Ended)
  | ({ status: 'removing' } & Ended);

export type Transition =
  | { to: 'running'; pid: number; startedAt: string }
  | { to: 'paused' }
  | { to: 'unpaused' }
  | { to: 'exited'; end: Ended }
  | { to: 'restarting'; end: Ended }
  | { to: 'failed'; finishedAt: string; exitCode: number; error: string }
  | { to: 'removing' };

/** Docker's date of what has not happened. */
export const NEVER = '0001-01-01T00:00:00Z';

export function createdState(): ContainerState {
  return { status: 'created', ...neverEnded() };
}

/** The state after `transition`. Throws Conflict where it cannot follow. */
export function next(state: ContainerState, transition: Transition): ContainerState {
  switch (transition.to) {
    case 'running':
      if (isLive(state) || state.status === 'removing') throw impossible(state, transition);
      return { status: 'running', pid: transition.pid, startedAt: transition.startedAt, last: endOf(state) };
    case 'paused':
      if (state.status !== 'running') throw impossible(state, transition);
      return { ...state, status: 'paused' };
    case 'unpaused':
      if (state.status !== 'paused') throw impossible(state, transition);
      return { ...state, status: 'running' };
    case 'exited':
      if (state.status === 'removing') throw impossible(state, transition);
      return { status: 'exited', ...transition.end };
    case 'restarting':
      if (state.status === 'removing') throw impossible(state, transition);
      return { status: 'restarting', ...transition.end };
    case 'failed':
      return failed(state, transition);
    case 'removing':
      if (isLive(state)) throw impossible(state, transition);
      return { status: 'removing', ...endOf(state) };
  }
}

/** A start that failed leaves a new container `created`, and one that has run before `exited`; both bear the error. */
function failed(state: ContainerState, failure: Extract<Transition, { to: 'failed' }>): ContainerState {
  const end = endOf(state);
  const status = end.startedAt === NEVER ? 'created' : 'exited';
  return {
    status,
    ...end,
    exitCode: failure.exitCode,
    error: failure.error,
    ...(status === 'exited' ? { finishedAt: failure.finishedAt } : {}),
  };
}

/** How the last run ended; of a running container, how the one before it did. */
export function endOf(state: ContainerState): Ended {
  if (isLive(state)) return state.last;
  const { startedAt, finishedAt, exitCode, oomKilled, error } = state;
  return { startedAt, finishedAt, exitCode, oomKilled, error };
}

/** It has processes, frozen or not. */
export function isLive(state: ContainerState): state is ContainerState & Live {
  return state.status === 'running' || state.status === 'paused';
}

/** What Docker calls running: also paused, and between two runs. */
export function isRunning(state: ContainerState): boolean {
  return isLive(state) || state.status === 'restarting';
}

/** The answer to a verb that needs a live container, paused or not: nothing, or the error that names the state. */
export function requireLive(state: ContainerState, id: string): asserts state is ContainerState & Live {
  if (isLive(state)) return;
  if (state.status === 'restarting') {
    throw new ConflictError(`Container ${id} is restarting, wait until the container is running`);
  }
  throw new ConflictError(`container ${id} is not running`);
}

/** The answer to a verb that needs processes that run: what requireLive refuses, and a paused container. */
export function requireRunning(state: ContainerState, id: string): void {
  requireLive(state, id);
  if (state.status === 'paused') {
    throw new ConflictError(`Container ${id} is paused, unpause the container before exec`);
  }
}

/** The answer to `pause`. */
export function requirePausable(state: ContainerState, id: string): void {
  if (state.status === 'paused') throw new ConflictError(`Container ${id} is already paused`);
  requireLive(state, id);
}

/** The answer to `start`: NotModified where it runs already, Conflict while it is being removed. */
export function requireStartable(state: ContainerState, id: string): void {
  if (state.status === 'paused') {
    throw new ConflictError('cannot start a paused container, try unpause instead');
  }
  if (state.status === 'running') throw new NotModifiedError(`container ${id} is already running`);
  if (state.status === 'removing') {
    throw new ConflictError(`container ${id} is marked for removal and cannot be started`);
  }
}

function neverEnded(): Ended {
  return { startedAt: NEVER, finishedAt: NEVER, exitCode: 0, oomKilled: false, error: '' };
}

function impossible(state: ContainerState, transition: Transition): ConflictError {
  return new ConflictError(`a container that is ${state.status} cannot become ${transition.to}`);
}
