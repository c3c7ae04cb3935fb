import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { SPANS_CHANNEL, type SpanEvent } from '../base/spans.ts';
import { tellRuntimeSteps } from './runtime-steps.ts';

test('marks become spans of their own process; a new process begins where the others were', () => {
  const spans: unknown[] = [];
  const listener = (message: unknown): void => {
    const span = message as SpanEvent;
    if (span.phase === 'whole') spans.push([span.name, span.startUs, span.durationUs]);
  };
  subscribe(SPANS_CHANNEL, listener);
  tellRuntimeSteps('abc', {
    steps: [
      { label: 'supervisor/begin', process: 42, atUs: 1000 },
      { label: 'launch/forked', process: 42, atUs: 1300 },
      { label: 'init/filled', process: 1, atUs: 1900 },
      { label: 'launch/limited', process: 42, atUs: 1700 },
      { label: 'init/entered', process: 1, atUs: 2000 },
    ],
  });
  unsubscribe(SPANS_CHANNEL, listener);
  assert.deepEqual(spans, [
    ['supervisor/begin', 1000, 0],
    ['launch/forked', 1000, 300],
    ['init/filled', 1300, 600],
    ['launch/limited', 1300, 400],
    ['init/entered', 1900, 100],
  ]);
});
