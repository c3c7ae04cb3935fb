/** Work that takes longer than a daemon that is taken over waits for: it is given up in order, or the next one goes on. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { exchange } from '../../conformance/exchange.ts';
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

/** A container that ends by SIGKILL alone, and is ready to be told otherwise. */
async function stubborn(name: string, ...flags: string[]): Promise<void> {
  const program = 'trap "" TERM; echo ready; while :; do sleep 1000 & wait; done';
  await daemon.ok('run', '-d', '--name', name, ...flags, 'busybox', 'sh', '-c', program);
  await eventually('it ignores SIGTERM', async () => (await daemon.ok('logs', name)) === 'ready');
}

/** Containers whose stop has sent its signal. */
function signalled(): number {
  return daemon.log.split('"signal sent"').length - 1;
}

test('stops, restarts, commands and builds that are under way for long', { skip }, async () => {
  // Their signals are in the log of a daemon that says much.
  await daemon.takeOver(['--log-level', 'debug']);
  await stubborn('stopped');
  await stubborn('again', '--rm');
  await stubborn('kept');
  const startedAt = await daemon.inspect('again', '{{.State.StartedAt}}');
  const folder = join(daemon.folder, 'context');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM busybox\nRUN echo begun; sleep 1000\n');
  const build = daemon.live(['build', '--progress', 'plain', folder]);
  await eventually('the step runs', () => /begun\n/.test(build.stderr));
  // As clients without BuildKit ask for it.
  const classic = exchange(daemon.socket, {
    method: 'POST',
    path: '/build',
    body: execFileSync('tar', ['-c', '-C', folder, 'Dockerfile']),
  });
  const command = daemon.live(['exec', '-i', 'kept', 'sh', '-c', 'echo begun; read line; exit 7']);
  await command.sees(/begun/);
  const patient = daemon.live(['stop', '-t', '3600', 'kept']);
  const others = [
    daemon.live(['stop', '-t', '14', 'stopped']),
    daemon.live(['restart', '-t', '14', 'again']),
  ];
  // A client that never sends what it has announced keeps nobody from anything.
  const stalled = connect(daemon.socket);
  stalled.on('error', () => undefined);
  stalled.write('POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{');
  await eventually('the signals are sent', () => signalled() === 3);
  await daemon.takeOver();
  stalled.destroy();
  for (const client of [patient, build]) {
    const { code, stderr } = await client.ended;
    assert.equal(code, 1);
    assert.match(stderr, /mydockd is being replaced/);
  }
  assert.match((await classic).text, /mydockd is being replaced by another one/);
  // On a slow machine these may have come to their end before.
  for (const client of others) {
    const { code, stderr } = await client.ended;
    if (code !== 0) assert.match(stderr, /mydockd is being replaced/);
  }
  // Whoever runs a command does not know that there were two daemons.
  command.type('line\n');
  assert.equal((await command.ended).code, 7);
  await daemon.reaches('stopped', 'exited');
  assert.equal(await daemon.inspect('stopped', '{{.State.ExitCode}}'), '137');
  await eventually('it is started again', async () => {
    const [running, since] = (await daemon.inspect('again', '{{.State.Running}} {{.State.StartedAt}}')).split(
      ' ',
    );
    return running === 'true' && since !== startedAt;
  });
  assert.equal(await daemon.inspect('kept', '{{.State.Running}}'), 'true');
  // The daemon waits for its end, and not too busily to be asked for another one.
  await daemon.ok('kill', 'kept');
  await daemon.reaches('kept', 'exited');
  await daemon.removeContainers();
});

test('a restart whose daemon is killed between its two halves', { skip }, async () => {
  await stubborn('halved', '--rm');
  const startedAt = await daemon.inspect('halved', '{{.State.StartedAt}}');
  const pid = await daemon.inspect('halved', '{{.State.Pid}}');
  const restart = daemon.live(['restart', '-t', '3600', 'halved']);
  await eventually('it is being stopped', async () => {
    const events = await daemon.ok('events', '--since', '1', '--until', '0s', '--filter', 'event=kill');
    return events.includes('halved');
  });
  await daemon.stop('SIGKILL');
  await restart.ended;
  process.kill(Number(pid), 'SIGKILL');
  await daemon.launch();
  await eventually('it is started again', async () => {
    const [running, since] = (
      await daemon.inspect('halved', '{{.State.Running}} {{.State.StartedAt}}')
    ).split(' ');
    return running === 'true' && since !== startedAt;
  });
  await daemon.removeContainers();
});
