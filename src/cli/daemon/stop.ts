/** `mydock daemon stop`: ends mydockd; containers go on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { runningDaemon } from './pid-file.ts';
import { daemonSettings } from './settings.ts';

const STOP_TIMEOUT_MS = 15_000;
const POLL_MS = 10;

export const stop = defineVerb<Record<string, never>>({
  usage: '[MYDOCKD OPTIONS]',
  summary: 'Stop the daemon (containers go on); --exec-root and --pidfile say which',
  args: { min: 0 },
  passThrough: true,
  flags() {},
  run: ({ io, host }, words) => runDaemonStop(io, words, host),
});

/** Sends SIGTERM and waits for the end. Throws where there is no daemon, or it does not end within 15 seconds. */
export async function runDaemonStop(
  io: Io,
  words: readonly string[],
  host: string | undefined,
): Promise<number> {
  const { pidFile } = daemonSettings(words, host);
  const pid = runningDaemon(pidFile);
  if (pid === undefined) throw new CliError(`mydockd does not run (${pidFile} names no running daemon)`);
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  while (isAlive(pid)) {
    if (Date.now() > deadline)
      throw new CliError(`mydockd (pid ${pid}) did not end within ${STOP_TIMEOUT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
  printLine(io, `mydockd stopped (pid ${pid})`);
  return 0;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: it has ended.
    return false;
  }
}
