/** `mydock daemon stop`: ends mydockd, by systemd where that runs it; containers go on. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SERVICE, SOCKET_UNIT, systemctl } from '../../client/systemd-service.ts';
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
  if (isInService(pid)) {
    // Without the socket's unit the next request would start it again.
    await systemctl('stop', SOCKET_UNIT, SERVICE);
    printLine(io, `${SOCKET_UNIT} and ${SERVICE} are stopped (pid ${pid})`);
    return 0;
  }
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

/** systemd would start another one where this ended by a signal of ours. */
function isInService(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8').split(/[/\n]/).includes(SERVICE);
  } catch {
    // ENOENT: it has ended.
    return false;
  }
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
