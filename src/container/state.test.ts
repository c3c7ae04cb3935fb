import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createdState,
  type Ended,
  NEVER,
  next,
  requirePausable,
  requireRunning,
  requireStartable,
} from './state.ts';

const end: Ended = {
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:05Z',
  exitCode: 3,
  oomKilled: false,
  error: '',
};
const running = next(createdState(), { to: 'running', pid: 7, startedAt: end.startedAt });

test('a container runs, exits with its code, and can run again', () => {
  const exited = next(running, { to: 'exited', end });
  assert.deepEqual(exited, { status: 'exited', ...end });
  const again = next(exited, { to: 'running', pid: 8, startedAt: end.finishedAt });
  assert.equal(again.status === 'running' && again.last.exitCode, 3);
});

test('a start that fails leaves a new container created, with error and exit code', () => {
  const state = next(createdState(), {
    to: 'failed',
    finishedAt: end.finishedAt,
    exitCode: 127,
    error: 'no such file',
  });
  assert.equal(state.status, 'created');
  assert.equal(state.status === 'created' && state.exitCode, 127);
  assert.equal(state.status === 'created' && state.finishedAt, NEVER);
});

test('a start that fails leaves one that has run before exited', () => {
  const exited = next(running, { to: 'exited', end });
  const state = next(exited, { to: 'failed', finishedAt: '2026-01-02T00:00:00Z', exitCode: 128, error: 'x' });
  assert.deepEqual(state, {
    status: 'exited',
    ...end,
    exitCode: 128,
    error: 'x',
    finishedAt: '2026-01-02T00:00:00Z',
  });
});

test('what cannot follow is refused by name', () => {
  assert.throws(() => next(running, { to: 'removing' }), /running cannot become removing/);
  assert.throws(() => next(running, { to: 'running', pid: 1, startedAt: '' }), /cannot become running/);
  const removing = next(createdState(), { to: 'removing' });
  assert.throws(() => next(removing, { to: 'exited', end }), /removing cannot become exited/);
});

test('verbs that do not fit the state say so in Docker’s words', () => {
  assert.throws(() => requireRunning(createdState(), 'abc'), {
    kind: 'Conflict',
    message: 'container abc is not running',
  });
  assert.throws(
    () => requireRunning(next(running, { to: 'restarting', end }), 'abc'),
    /Container abc is restarting, wait until the container is running/,
  );
  assert.throws(() => requireStartable(running, 'abc'), { kind: 'NotModified' });
});

test('a pause keeps the process and the time of its start', () => {
  const paused = next(running, { to: 'paused' });
  assert.deepEqual(paused, { ...running, status: 'paused' });
  assert.deepEqual(next(paused, { to: 'unpaused' }), running);
  assert.equal(next(paused, { to: 'exited', end }).status, 'exited');
  assert.throws(() => next(createdState(), { to: 'paused' }), /created cannot become paused/);
  assert.throws(() => next(running, { to: 'unpaused' }), /running cannot become unpaused/);
  assert.throws(() => next(paused, { to: 'removing' }), /paused cannot become removing/);
});

test('verbs on a paused container', () => {
  const paused = next(running, { to: 'paused' });
  assert.throws(
    () => requireRunning(paused, 'abc'),
    /Container abc is paused, unpause the container before exec/,
  );
  assert.throws(() => requirePausable(paused, 'abc'), /Container abc is already paused/);
  assert.throws(
    () => requireStartable(paused, 'abc'),
    /cannot start a paused container, try unpause instead/,
  );
  assert.doesNotThrow(() => requirePausable(running, 'abc'));
});
