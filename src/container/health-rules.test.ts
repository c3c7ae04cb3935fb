import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Health } from '../api/containers.ts';
import {
  healthAfter,
  healthTimes,
  mergeHealthcheck,
  nextProbeMs,
  probeCommand,
  startingHealth,
} from './health-rules.ts';

const result = (ExitCode: number) => ({ Start: '', End: '', ExitCode, Output: '' });

function run(start: Health, codes: number[], times = healthTimes({}), sinceStartMs = 1e9): Health {
  return codes.reduce((health, code) => healthAfter(health, result(code), times, sinceStartMs), start);
}

test('the defaults are those of Docker', () => {
  assert.deepEqual(healthTimes({ Interval: 0 }), {
    intervalMs: 30_000,
    timeoutMs: 30_000,
    startPeriodMs: 0,
    startIntervalMs: 5_000,
    retries: 3,
  });
  assert.equal(healthTimes({ Timeout: 1_500_000 }).timeoutMs, 1.5);
  // What a timer cannot be set for would fire at once.
  const month = 30 * 86_400 * 1e9;
  const { intervalMs, timeoutMs, startIntervalMs } = healthTimes({
    Interval: month,
    Timeout: month,
    StartInterval: month,
  });
  assert.deepEqual([intervalMs, timeoutMs, startIntervalMs], Array(3).fill(2 ** 31 - 1));
});

test('CMD runs as it is, CMD-SHELL through the shell of the image, NONE not at all', () => {
  const command = (Test: string[], Shell?: string[]) =>
    probeCommand({ Healthcheck: { Test }, ...(Shell === undefined ? {} : { Shell }) });
  assert.deepEqual(command(['CMD', 'a', 'b']), ['a', 'b']);
  assert.deepEqual(command(['CMD-SHELL', 'a || b']), ['/bin/sh', '-c', 'a || b']);
  assert.deepEqual(command(['CMD-SHELL', 'a'], ['/bin/bash', '-lc']), ['/bin/bash', '-lc', 'a']);
  for (const test of [[], ['NONE'], ['CMD'], ['what', 'a']]) assert.equal(command(test), undefined);
  assert.equal(probeCommand({}), undefined);
});

test('a request takes from the image what it leaves open', () => {
  const image = { Test: ['CMD', 'x'], Interval: 5, Retries: 2 };
  assert.deepEqual(mergeHealthcheck(undefined, image), image);
  assert.deepEqual(mergeHealthcheck({ Interval: 9 }, image), { Test: ['CMD', 'x'], Interval: 9, Retries: 2 });
  assert.deepEqual(mergeHealthcheck({ Test: ['NONE'] }, image)?.Test, ['NONE']);
  assert.equal(mergeHealthcheck(undefined, undefined), undefined);
});

test('three failures in a row make a container unhealthy, one success makes it healthy', () => {
  const start = startingHealth(undefined);
  assert.equal(run(start, [1, 1]).Status, 'starting');
  assert.deepEqual(run(start, [1, 1, 1]), {
    Status: 'unhealthy',
    FailingStreak: 3,
    Log: [result(1), result(1), result(1)],
  });
  assert.equal(run(start, [1, 1, 0]).Status, 'healthy');
  assert.equal(run(start, [0, 1, -1]).Status, 'healthy');
  assert.equal(run(start, [0, 1, 1, 0, 1]).FailingStreak, 1);
  assert.equal(run(start, [0, 1, 1, 1]).Status, 'unhealthy');
  assert.equal(run(start, [1, 1, 1, 0]).Status, 'healthy');
});

test('failures in the start period do not count, unless the container was healthy before', () => {
  const times = healthTimes({ StartPeriod: 60e9, Retries: 1, StartInterval: 2e9, Interval: 20e9 });
  const start = startingHealth(undefined);
  const failed = run(start, [1, 1, 1], times, 5_000);
  assert.deepEqual([failed.Status, failed.FailingStreak, failed.Log?.length], ['starting', 0, 3]);
  assert.equal(run(failed, [1], times, 60_000).Status, 'unhealthy');
  assert.equal(run(start, [0, 1], times, 5_000).Status, 'unhealthy');
  assert.equal(nextProbeMs('starting', times, 5_000), 2_000);
  assert.equal(nextProbeMs('starting', times, 60_000), 20_000);
  assert.equal(nextProbeMs('healthy', times, 5_000), 20_000);
});

test('the last five results are kept, also over a restart', () => {
  const many = run(startingHealth(undefined), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(
    many.Log?.map(({ ExitCode }) => ExitCode),
    [3, 4, 5, 6, 7],
  );
  assert.equal(startingHealth(many).Log?.length, 5);
  assert.equal(startingHealth(many).FailingStreak, 0);
});
