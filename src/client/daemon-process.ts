/**
 * Starts mydockd detached from this terminal and waits for its socket. The program stands beside the running
 * bundle (`dist/mydockd.cjs`); it lives on when the client ends.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const DEFAULT_LOG = '/var/log/mydock.log';

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;

/** Where a daemon listens: a socket's path, or a TCP port. */
export type Listener = { readonly path: string } | { readonly host: string; readonly port: number };

export interface DaemonLaunch {
  /** What the daemon will listen on. */
  readonly listener: Listener;
  /** Arguments of mydockd. */
  readonly args: readonly string[];
  /** Where its stdout and stderr go; appended to. */
  readonly log: string;
}

/** True where something accepts connections. */
export function answers(listener: Listener): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(listener);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** Path of the daemon's bundle: beside this one when bundled. Throws where it is not installed. */
export function daemonProgram(): string {
  const main = process.argv[1] ?? '';
  const candidates = [join(dirname(main), 'mydockd.cjs'), join(dirname(main), '..', 'dist', 'mydockd.cjs')];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`cannot start the daemon: ${candidates[0]} does not exist`);
  return found;
}

/**
 * Starts the daemon and returns its process ID once the socket accepts connections. Throws, with the log's path,
 * where it ends early or does not answer within 10 seconds.
 */
export async function launchDaemon(launch: DaemonLaunch): Promise<number> {
  const program = daemonProgram();
  mkdirSync(dirname(launch.log), { recursive: true });
  const log = openSync(launch.log, 'a', 0o640);
  const { size: logBytes } = fstatSync(log);
  let ended: string | undefined;
  // Behind `--` Node leaves all flags to the program; it would read an --env-file otherwise.
  const child = spawn(process.execPath, ['--', program, ...launch.args], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended = signal === null ? `it ended with status ${code}` : `it was ended by ${signal}`;
  });
  child.unref();
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    if (await answers(launch.listener)) return child.pid ?? 0;
    // Another client may have started one at the same time: then ours ends, and theirs answers a little later.
    if (ended !== undefined && !(await answersWithin(launch.listener, 500))) {
      const reason = lastWords(launch.log, logBytes);
      throw new Error(`the mydock daemon did not start: ${reason ?? ended}; its log is ${launch.log}`);
    }
    await sleep(POLL_MS);
  }
  throw new Error(
    `the mydock daemon does not answer on ${listenerText(launch.listener)} after ${START_TIMEOUT_MS / 1000} s; its log is ${launch.log}`,
  );
}

/** Why a daemon has ended, as it has put it into its log, which had `from` bytes before. */
export function lastWords(log: string, from: number): string | undefined {
  const said = readFileSync(log).subarray(from).toString('utf8').trimEnd();
  try {
    const { error } = JSON.parse(said.slice(said.lastIndexOf('\n') + 1)) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    // Of options and of the configuration it speaks before there is a log.
    return /^(?:mydockd|error): (.*)$/m.exec(said)?.[1];
  }
}

async function answersWithin(listener: Listener, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await answers(listener)) return true;
    await sleep(POLL_MS);
  }
  return false;
}

export function listenerText(listener: Listener): string {
  return 'path' in listener ? `unix://${listener.path}` : `tcp://${listener.host}:${listener.port}`;
}
