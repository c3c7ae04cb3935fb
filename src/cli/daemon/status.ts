/** `mydock daemon status`: tells whether mydockd runs, and whether it answers. */
import { answers, listenerText } from '../../client/daemon-process.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { runningDaemon } from './pid-file.ts';
import { daemonSettings } from './settings.ts';

/** The exit code of `systemctl status` and of init scripts for a service that does not run. */
const NOT_RUNNING = 3;

export const status = defineVerb<Record<string, never>>({
  usage: '[MYDOCKD OPTIONS]',
  summary: 'Tell whether the daemon runs; --host and --exec-root say which',
  args: { min: 0 },
  passThrough: true,
  flags() {},
  run: ({ io, host }, words) => runDaemonStatus(io, words, host),
});

/** 0 where it answers, 3 where it does not. */
export async function runDaemonStatus(
  io: Io,
  words: readonly string[],
  host: string | undefined,
): Promise<number> {
  const { listener, pidFile } = daemonSettings(words, host);
  const address = listenerText(listener);
  const pid = runningDaemon(pidFile);
  const process = pid === undefined ? '' : ` (pid ${pid})`;
  if (await answers(listener)) {
    printLine(io, `mydockd runs on ${address}${process}`);
    return 0;
  }
  printLine(
    io,
    pid === undefined ? 'mydockd does not run' : `mydockd${process} runs but does not answer on ${address}`,
  );
  return NOT_RUNNING;
}
