/**
 * mydockd: reads the configuration, puts the engine together, serves the API until a signal ends it. Containers
 * outlive it; the next daemon on the same data root takes them over.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { addon } from '../native/addon.ts';
import { composeDaemon } from './compose.ts';
import { type DaemonConfig, daemonCommand, readConfig } from './config.ts';
import { listenAddresses } from './listen-address.ts';
import { ApiServer } from './server.ts';
import { requireFreePath } from './socket-file.ts';

/** EX_CONFIG of sysexits.h. The unit of systemd tells it from a crash: another start would come to the same. */
const EXIT_CONFIGURATION = 78;

async function serve(config: DaemonConfig): Promise<void> {
  const addresses = listenAddresses(config);
  // Before anything of the machine is touched: the daemon could not serve there.
  for (const address of addresses) if (address.kind === 'unix') await requireFreePath(address.path);
  const daemon = await composeDaemon(config);
  const server = new ApiServer(daemon.router);
  try {
    for (const address of addresses) await server.listen(address);
    await daemon.sockets.restore(server);
  } catch (error) {
    server.close();
    await daemon.close();
    throw error;
  }
  const pidFile = config.pidFile === '' ? join(config.execRoot, 'mydockd.pid') : config.pidFile;
  if (existsSync(pidFile)) {
    const last = readFileSync(pidFile, 'utf8').trim();
    log.warn(
      { pid: last },
      'the last mydockd did not end by itself: it crashed or was killed; its containers went on',
    );
  }
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o644 });
  log.info({ pid: process.pid, hosts: config.hosts, dataRoot: config.dataRoot }, 'mydockd serves the API');
  const ended = untilSignal();
  await daemon.startByPolicy();
  log.info({ signal: await ended }, 'mydockd ends; containers go on');
  server.close();
  await daemon.close();
  rmSync(pidFile, { force: true });
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
    process.on('SIGHUP', () => log.info('SIGHUP ignored: the configuration is read at start only'));
  });
}

/** A fault of ours that nobody caught must not take the API down without a word. */
function reportFaults(): void {
  process.on('uncaughtException', (error) => log.error({ error: error.stack }, 'uncaught exception'));
  process.on('unhandledRejection', (reason) => {
    log.error({ error: reason instanceof Error ? reason.stack : String(reason) }, 'unhandled rejection');
  });
}

async function main(): Promise<number> {
  const command = daemonCommand().exitOverride();
  let config: DaemonConfig;
  try {
    config = readConfig(command, process.argv.slice(2));
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CONFIGURATION;
    process.stderr.write(`mydockd: ${errorMessage(error)}\n`);
    return EXIT_CONFIGURATION;
  }
  log.level = config.logLevel;
  if (process.getuid?.() !== 0) {
    process.stderr.write('mydockd: must run as root\n');
    return 1;
  }
  addon().setProcessName('mydockd');
  reportFaults();
  try {
    await serve(config);
    return 0;
  } catch (error) {
    log.fatal({ error: errorMessage(error) }, 'mydockd cannot run');
    return 1;
  }
}

// process.exit may wait for a compiler thread for ever (nodejs/node#54918); everything that lasts is written by now.
void main().then((code) => addon().exitNow(code));
