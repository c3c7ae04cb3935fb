/** Streaming answers send their headers at once, long before there is a byte to send. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { exchange } from '../../conformance/exchange.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const SOON_MS = 3000;

let daemon: Daemon;
let close: () => Promise<void>;
let silent: string;

before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
  silent = await daemon.ok('run', '-d', '--stop-signal', 'KILL', 'busybox', 'sleep', '100000');
});
after(async () => await close());

const streams: [what: string, method: string, path: string, headers?: Record<string, string>][] = [
  ['events', 'GET', '/events'],
  ['events for old clients', 'GET', '/v1.24/events'],
  ['logs', 'GET', '/containers/ID/logs?follow=1&stdout=1'],
  ['logs without lines', 'GET', '/containers/ID/logs?follow=1&stdout=1&tail=0'],
  ['stats', 'GET', '/containers/ID/stats'],
  ['wait', 'POST', '/containers/ID/wait'],
  ['attach', 'POST', '/containers/ID/attach?stream=1&stdout=1'],
  [
    'attach with an upgrade',
    'POST',
    '/containers/ID/attach?stream=1&stdout=1',
    { connection: 'Upgrade', upgrade: 'tcp' },
  ],
];

for (const [what, method, path, headers] of streams) {
  test(what, async () => {
    // The first look at the body is when the headers are there: an empty one is enough.
    const answer = await exchange(daemon.socket, {
      method,
      path: path.replace('ID', silent),
      ...(headers === undefined ? {} : { headers }),
      until: () => true,
    });
    assert.equal(answer.status, headers === undefined ? 200 : 101, answer.text);
    assert.ok(answer.headersMs < SOON_MS, `headers after ${answer.headersMs} ms`);
  });
}
