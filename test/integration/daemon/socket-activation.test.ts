/**
 * `--host fd://`: sockets that whoever starts the daemon listens on and passes (sd_listen_fds(3)), as systemd does. They
 * outlive every daemon, and go from one to the next with the rest.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { addon } from '../../../src/native/addon.ts';
import { timeLimitMs } from '../../run/time-limit.ts';
import { apiRequest } from '../api-request.ts';
import { eventually, run } from '../command.ts';
import { daemonCommand, TESTING_DOCKER } from '../engine.ts';

const skip = TESTING_DOCKER && 'about mydockd';

const place = { dataRoot: '', execRoot: '/run/mydock-passed', socket: '/run/mydock-passed-own.sock' };
const PASSED = '/run/mydock-passed.sock';
const BACKLOG = 128;

/** What systemd would hold. */
let listening: number;
let log: string;
const alive = new Set<ChildProcess>();

before(() => {
  const folder = mkdtempSync(join(tmpdir(), 'passed-'));
  place.dataRoot = join(folder, 'data');
  log = join(folder, 'log');
  listening = addon().listenUnix(PASSED, BACKLOG);
});
after(() => {
  for (const child of alive) child.kill('SIGKILL');
  closeSync(listening);
});

/** Starts a daemon with `fd://`, and passes the socket to it or nothing. */
function start({ passes, args = [] }: { passes: boolean; args?: string[] }): ChildProcess {
  const words = daemonCommand(place, ['--host', 'fd://', ...args]);
  const out = openSync(log, 'a');
  // The number must be that of the process that executes the daemon.
  const script = passes ? 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"' : 'exec "$@"';
  const child = spawn('sh', ['-c', script, 'sh', ...words], {
    stdio: ['ignore', out, out, ...(passes ? [listening] : [])],
  });
  closeSync(out);
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

async function serves(child: ChildProcess): Promise<void> {
  await eventually(
    'the daemon serves',
    () => {
      assert.equal(child.exitCode, null, readFileSync(log, 'utf8').slice(-3000));
      const pidFile = join(place.execRoot, 'mydockd.pid');
      return run(['cat', pidFile]).then(({ stdout }) => stdout.trim() === String(child.pid));
    },
    timeLimitMs(60_000),
  );
}

async function ends(child: ChildProcess): Promise<void> {
  await eventually('the daemon ends', () => child.exitCode !== null, timeLimitMs(60_000));
}

const ping = async (): Promise<number> => (await apiRequest(PASSED, 'GET', '/_ping')).status;

/** One request on a connection that is kept: its status, and by which connection it came. */
function kept(agent: Agent): Promise<{ status: number | undefined; reused: boolean }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: PASSED, path: '/_ping', agent }, (answer) => {
      answer.resume().on('end', () => resolve({ status: answer.statusCode, reused: call.reusedSocket }));
    });
    call.on('error', reject).end();
  });
}

test('a passed socket goes from daemon to daemon, and none of its clients meets an error', {
  skip,
}, async () => {
  const first = start({ passes: true });
  // Before the daemon serves, as when a client wakes it.
  assert.equal(await ping(), 200);
  await serves(first);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.deepEqual(await kept(agent), { status: 200, reused: false });

  const failed: unknown[] = [];
  let asked = 0;
  const timer = setInterval(() => {
    asked += 1;
    ping().then(
      (status) => status === 200 || failed.push(status),
      (error: unknown) => failed.push(error),
    );
  }, 5);
  // Started by hand: what it listens on it has from the one that runs.
  const second = start({ passes: false, args: ['--takeover'] });
  await serves(second);
  await ends(first);
  assert.deepEqual(await kept(agent), { status: 200, reused: true }, 'the idle connection was handed over');
  // And again, from one that was passed nothing itself; this one is passed the socket and is handed it as well.
  const third = start({ passes: true, args: ['--takeover'] });
  await serves(third);
  await ends(second);
  clearInterval(timer);
  assert.deepEqual(await kept(agent), { status: 200, reused: true });
  assert.ok(asked > 0);
  assert.deepEqual(failed, []);
  agent.destroy();

  // One that cannot start leaves the socket to the one that runs.
  const broken = start({ passes: false, args: ['--takeover', '--storage-driver', 'nonsense'] });
  await ends(broken);
  assert.equal(broken.exitCode, 1);
  assert.equal(await ping(), 200);

  // With no daemon at all clients wait for the next one.
  third.kill('SIGTERM');
  await ends(third);
  const waiting = ping();
  const fourth = start({ passes: true });
  assert.equal(await waiting, 200);
  await serves(fourth);
  fourth.kill('SIGTERM');
  await ends(fourth);
});

test('`fd://` without a passed socket is refused by name', { skip }, async () => {
  const said = async (args: string[]): Promise<string> => {
    const from = readFileSync(log, 'utf8').length;
    const child = start({ passes: false, args });
    await ends(child);
    assert.equal(child.exitCode, 1);
    return readFileSync(log, 'utf8').slice(from);
  };
  assert.match(await said([]), /fd:\/\/: no sockets were passed to this process/);
  const plain = spawn(daemonCommand(place, [])[0] ?? '', daemonCommand(place, []).slice(1), {
    stdio: 'ignore',
  });
  alive.add(plain);
  plain.once('exit', () => alive.delete(plain));
  await serves(plain);
  assert.match(
    await said(['--takeover']),
    /no sockets were passed to this process .*, nor to the one that runs/,
  );
  assert.equal((await apiRequest(place.socket, 'GET', '/_ping')).status, 200);
  plain.kill('SIGTERM');
  await ends(plain);
});
