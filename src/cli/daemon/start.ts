/**
 * `mydock daemon start`: starts mydockd detached; all further words are its own flags. The machine's own daemon is left
 * to systemd where that has a unit for it.
 */
import { join } from 'node:path';
import { answers, DEFAULT_LOG, launchDaemon, listenerText } from '../../client/daemon-process.ts';
import { DEFAULT_SOCKET } from '../../client/host.ts';
import { SERVICE, serviceIsInstalled, systemctl } from '../../client/systemd-service.ts';
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { type DaemonSettings, DEFAULT_EXEC_ROOT, daemonArguments, daemonSettings } from './settings.ts';

export const start = defineVerb<Record<string, never>>({
  usage: '[MYDOCKD OPTIONS]',
  summary: 'Start the daemon in the background; options are those of mydockd',
  args: { min: 0 },
  passThrough: true,
  flags() {},
  run: ({ io, host }, words) => runDaemonStart(io, words, host),
});

/** Returns once the daemon answers. A daemon that already does is left alone. */
export async function runDaemonStart(
  io: Io,
  words: readonly string[],
  host: string | undefined,
): Promise<number> {
  const settings = daemonSettings(words, host);
  const address = listenerText(settings.listener);
  if (words.includes('--takeover')) {
    const { runTakeover } = await import('./takeover.ts');
    return await runTakeover(io, settings, daemonArguments(words, host));
  }
  if (await answers(settings.listener)) {
    printLine(io, `mydockd already runs on ${address}`);
    return 0;
  }
  if (process.getuid?.() !== 0) throw new CliError('the daemon must be started as root');
  if (serviceIsInstalled() && settings.execRoot === DEFAULT_EXEC_ROOT) {
    await startService(settings, words);
    printLine(io, `${SERVICE} is started; mydockd listens on ${address}`);
    return 0;
  }
  const log = logOf(settings);
  const pid = await launchDaemon({ listener: settings.listener, args: daemonArguments(words, host), log });
  printLine(io, `mydockd runs on ${address} (pid ${pid}, log ${log})`);
  return 0;
}

/** Of a daemon that is not the machine's own, beside its other files. */
export function logOf({ execRoot }: DaemonSettings): string {
  return execRoot === DEFAULT_EXEC_ROOT ? DEFAULT_LOG : join(execRoot, 'mydockd.log');
}

/** Options given here would be the first start's alone, and systemd's next daemon would not know them. */
async function startService(settings: DaemonSettings, words: readonly string[]): Promise<void> {
  const { listener } = settings;
  if (words.length > 0 || !('path' in listener) || listener.path !== DEFAULT_SOCKET) {
    throw new CliError(
      `systemd starts the daemon here (${SERVICE}): its options belong into /etc/mydock/daemon.json; a second daemon needs an --exec-root and a --data-root of its own`,
    );
  }
  await systemctl('start', SERVICE);
}
