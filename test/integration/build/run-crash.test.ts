/** What a daemon that is killed in the middle of a RUN leaves, the next one removes; caches stay. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../command.ts';
import { type Daemon, daemonWithBusybox } from '../harness.ts';

let daemon: Daemon;
let close: () => Promise<void>;
before(async () => {
  ({ daemon, close } = await daemonWithBusybox());
});
after(() => close());

function context(dockerfile: string): string {
  const folder = join(daemon.folder, `context-${Math.random().toString(36).slice(2)}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), dockerfile);
  writeFileSync(join(folder, 'file'), 'of the context');
  return folder;
}

function stepMounts(): string[] {
  const table = readFileSync(`/proc/${daemon.pid}/mountinfo`, 'utf8').split('\n');
  return table.filter((line) => line.includes('/build/'));
}

function running(marker: string): boolean {
  return readdirSync('/proc').some((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(marker);
    } catch {
      // It has ended.
      return false;
    }
  });
}

test('a crash in the middle of a step leaves no process, mount or file of it, and the cache mount', async () => {
  const marker = 'while :; do sleep 0.2; done # crash';
  const mounts = '--mount=type=cache,target=/c --mount=type=bind,target=/m,rw --mount=type=tmpfs,target=/t';
  const build = daemon.live([
    'build',
    context(`FROM busybox\nRUN ${mounts} echo kept > /c/f; cat /m/file > /left; ${marker}\n`),
  ]);
  await eventually('the step runs', () => running(marker) && stepMounts().length > 0);
  await daemon.stop('SIGKILL');
  await build.ended;
  await daemon.launch();
  await eventually('its processes have ended', () => !running(marker));
  assert.deepEqual(stepMounts(), []);
  const runs = join(daemon.dataRoot, 'build/runs');
  assert.deepEqual(existsSync(runs) ? readdirSync(runs) : [], []);
  const output = await daemon.mydock([
    'build',
    context('FROM busybox\nRUN --mount=type=cache,target=/c cat /c/f\n'),
  ]);
  assert.equal(output.code, 0, output.stderr);
  assert.match(output.stdout + output.stderr, /kept/);
});

test('a client that goes away takes its step with it', async () => {
  const marker = 'while :; do sleep 0.2; done # gone';
  const build = daemon.live(['build', context(`FROM busybox\nRUN --mount=type=cache,target=/c ${marker}\n`)]);
  await eventually('the step runs', () => running(marker));
  build.child.kill('SIGKILL');
  await build.ended;
  await eventually('its processes have ended', () => !running(marker));
  await eventually('nothing is mounted', () => stepMounts().length === 0);
});
