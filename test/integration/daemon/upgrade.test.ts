/** A daemon that is replaced by another one while it works: nobody who uses it has to know. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../command.ts';
import { TESTING_DOCKER } from '../engine.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

const skip = TESTING_DOCKER && 'about mydockd';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(async () => await close());

/** One `GET /_ping` on a connection of its own, or the error. */
function ping(): Promise<string> {
  return new Promise((resolve) => {
    const call = request({ socketPath: daemon.socket, path: '/_ping', agent: new Agent() }, (answer) => {
      answer.resume().on('end', () => resolve(String(answer.statusCode)));
    });
    call.on('error', (error) => resolve(error.message));
    call.end();
  });
}

/** Asks every 5 ms until it is told to stop, without waiting for answers; gives the slowest one and what failed. */
function pings(): { stop(): Promise<{ slowestMs: number; failed: string[] }> } {
  const answers: Promise<void>[] = [];
  const failed: string[] = [];
  let slowestMs = 0;
  const timer = setInterval(() => {
    const began = performance.now();
    answers.push(
      ping().then((status) => {
        slowestMs = Math.max(slowestMs, performance.now() - began);
        if (status !== '200') failed.push(status);
      }),
    );
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(answers);
      return { slowestMs, failed };
    },
  };
}

test('no client is refused, and none waits long', { skip }, async (context) => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18081:80', 'busybox', 'httpd', '-f', '-h', '/var/www');
  const identity = '{{.State.Pid}} {{.State.StartedAt}} {{.NetworkSettings.IPAddress}}';
  const web = await daemon.inspect('web', identity);
  const before = daemon.pid;
  const asked = pings();
  await daemon.takeOver();
  const { slowestMs, failed } = await asked.stop();
  context.diagnostic(`slowest answer: ${slowestMs.toFixed(0)} ms`);
  assert.deepEqual(failed, []);
  assert.notEqual(daemon.pid, before);
  assert.equal(readFileSync(join(daemon.execRoot, 'mydockd.pid'), 'utf8').trim(), String(daemon.pid));
  assert.equal(await daemon.inspect('web', identity), web);
  assert.equal(await (await fetch('http://127.0.0.1:18081/')).text(), 'served by mydock\n');
  assert.equal(await daemon.ok('exec', 'web', 'echo', 'still here'), 'still here');
  await daemon.ok('rm', '-f', 'web');
  await assert.rejects(fetch('http://127.0.0.1:18081/'));
});
