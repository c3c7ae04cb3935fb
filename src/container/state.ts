/**
 * A container's lifecycle: the states it can be in, what may follow what, and what the user is told where a verb does
 * not fit the state. Everything here is pure; the engine performs what a transition stands for.
 *
 *   created ──▶ running ──▶ exited ──▶ running …
 *                  │  ▲        ▲
 *                  ▼  │        │
 *               restarting ────┘      any but running ──▶ removing
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

export type ContainerState =
  | ({ status: 'created' } & Ended)
  | { status: 'running'; pid: number; startedAt: string; last: Ended }
  | ({ status: 'restarting' } & Ended)
  | ({ status: 'exited' } & Ended)
  | ({ status: 'removing' } & Ended);

export type Transition =
  | { to: 'running'; pid: number; startedAt: string }
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
      if (state.status === 'running' || state.status === 'removing') throw impossible(state, transition);
      return { status: 'running', pid: transition.pid, startedAt: transition.startedAt, last: endOf(state) };
    case 'exited':
      if (state.status === 'removing') throw impossible(state, transition);
      return { status: 'exited', ...transition.end };
    case 'restarting':
      if (state.status === 'removing') throw impossible(state, transition);
      return { status: 'restarting', ...transition.end };
    case 'failed':
      return failed(state, transition);
    case 'removing':
      if (state.status === 'running') throw impossible(state, transition);
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
  if (state.status === 'running') return state.last;
  const { startedAt, finishedAt, exitCode, oomKilled, error } = state;
  return { startedAt, finishedAt, exitCode, oomKilled, error };
}

export function isRunning(state: ContainerState): boolean {
  return state.status === 'running' || state.status === 'restarting';
}

/** The answer to a verb that needs a running container: nothing, or the error that names verb and state. */
export function requireRunning(state: ContainerState, id: string): void {
  if (state.status === 'running') return;
  if (state.status === 'restarting') {
    throw new ConflictError(`Container ${id} is restarting, wait until the container is running`);
  }
  throw new ConflictError(`container ${id} is not running`);
}

/** The answer to `start`: NotModified where it runs already, Conflict while it is being removed. */
export function requireStartable(state: ContainerState, id: string): void {
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
