/** `mydock daemon start --takeover`: a new mydockd in the background, in the place of the one that runs. */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonProgram, lastWords, listenerText } from '../../client/daemon-process.ts';
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { runningDaemon } from './pid-file.ts';
import type { DaemonSettings } from './settings.ts';
import { logOf } from './start.ts';

/** Requests under way may take ten seconds, and an old daemon as long as it needs to let go. */
const TAKEOVER_MAX_MS = 90_000;
const POLL_MS = 10;

/** Returns once the new daemon serves. Throws with what it said where it does not: then the old one goes on. */
export async function runTakeover(
  io: Io,
  settings: DaemonSettings,
  args: readonly string[],
): Promise<number> {
  if (process.getuid?.() !== 0) throw new CliError('the daemon must be started as root');
  const log = logOf(settings);
  const fd = openSync(log, 'a', 0o640);
  const from = fstatSync(fd).size;
  // Behind `--` Node leaves all flags to the program.
  const child = spawn(process.execPath, ['--', daemonProgram(), ...args], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  child.unref();
  const deadline = Date.now() + TAKEOVER_MAX_MS;
  while (runningDaemon(settings.pidFile) !== child.pid) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const said = lastWords(log, from) ?? `see ${log}`;
      throw new CliError(`the mydock daemon did not take over, and the one before it goes on: ${said}`);
    }
    if (Date.now() > deadline)
      throw new CliError(`no takeover within ${TAKEOVER_MAX_MS / 1000} s: see ${log}`);
    await sleep(POLL_MS);
  }
  printLine(io, `mydockd took over ${listenerText(settings.listener)} (pid ${child.pid}, log ${log})`);
  return 0;
}
