import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restartDelayMs, shouldRestart, shouldStartWithDaemon } from './restart-policy.ts';

const run = { exitCode: 1, restartCount: 0, stoppedByUser: false };

test('no policy and "no" never restart', () => {
  assert.equal(shouldRestart(undefined, run), false);
  assert.equal(shouldRestart({ Name: 'no' }, run), false);
});

test('on-failure restarts after a bad exit code, up to its limit', () => {
  const policy = { Name: 'on-failure', MaximumRetryCount: 2 } as const;
  assert.equal(shouldRestart(policy, run), true);
  assert.equal(shouldRestart(policy, { ...run, exitCode: 0 }), false);
  assert.equal(shouldRestart(policy, { ...run, restartCount: 2 }), false);
  assert.equal(shouldRestart({ Name: 'on-failure' }, { ...run, restartCount: 99 }), true);
});

test('always and unless-stopped differ only when the daemon starts', () => {
  const stopped = { ...run, stoppedByUser: true };
  for (const Name of ['always', 'unless-stopped'] as const) {
    assert.equal(shouldRestart({ Name }, { ...run, exitCode: 0 }), true);
    assert.equal(shouldRestart({ Name }, stopped), false);
  }
  assert.equal(shouldStartWithDaemon({ Name: 'always' }, stopped), true);
  assert.equal(shouldStartWithDaemon({ Name: 'unless-stopped' }, stopped), false);
});

test('the delay doubles from 100 ms to a minute and starts anew after a run of 10 s', () => {
  assert.equal(restartDelayMs(0, 5), 100);
  assert.equal(restartDelayMs(100, 5), 200);
  assert.equal(restartDelayMs(51_200, 5), 60_000);
  assert.equal(restartDelayMs(60_000, 10_000), 100);
});
