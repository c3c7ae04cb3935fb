/**
 * mydockd: reads the configuration, and serves the API until a signal ends it or another mydockd takes over.
 * Containers outlive it; the next daemon on the same data root takes them over.
 */
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { rehearseMigration } from '../base/migration.ts';
import { startTrace, type Trace } from '../base/trace.ts';
import { addon } from '../native/addon.ts';
import { type DaemonConfig, daemonCommand, readConfig } from './config.ts';
import { listenAddresses } from './listen-address.ts';
import { releaseMemoryWhenIdle } from './memory-release.ts';
import { DATABASE_FILE, MIGRATIONS } from './migrations.ts';
import { serve } from './serve.ts';

/** EX_CONFIG of sysexits.h. The unit of systemd tells it from a crash: another start would come to the same. */
const EXIT_CONFIGURATION = 78;

/** What is compiled by then, the next daemon need not compile: Node would keep it at its own end, which never comes. */
const CODE_KEPT_AFTER_MS = 10_000;

/** A fault of ours that nobody caught must not take the API down without a word. */
function reportFaults(): void {
  process.on('uncaughtException', (error) => log.error({ error: error.stack }, 'uncaught exception'));
  process.on('unhandledRejection', (reason) => {
    log.error({ error: reason instanceof Error ? reason.stack : String(reason) }, 'unhandled rejection');
  });
}

/** All that can be looked at without a change, beside a daemon that runs. */
function validate(config: DaemonConfig): number {
  try {
    listenAddresses(config);
    rehearseMigration(join(config.dataRoot, DATABASE_FILE), MIGRATIONS);
  } catch (error) {
    process.stderr.write(`mydockd: ${errorMessage(error)}\n`);
    return EXIT_CONFIGURATION;
  }
  process.stdout.write('configuration OK\n');
  return 0;
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
  const { takeover, validate: validateOnly } = command.opts<{ takeover?: boolean; validate?: boolean }>();
  if (validateOnly === true) return validate(config);
  addon().setProcessName('mydockd');
  reportFaults();
  releaseMemoryWhenIdle();
  setTimeout(() => flushCompileCache(), CODE_KEPT_AFTER_MS).unref();
  let trace: Trace | undefined;
  try {
    if (config.trace !== '') {
      trace = startTrace({
        path: config.trace,
        name: 'mydockd',
        onFailure: (message) => log.warn({ trace: config.trace }, message),
      });
    }
    await serve(config, { takeover: takeover === true });
    return 0;
  } catch (error) {
    log.fatal({ error: errorMessage(error) }, 'mydockd cannot run');
    return 1;
  } finally {
    trace?.end();
  }
}

// process.exit may wait for a compiler thread for ever (nodejs/node#54918); everything that lasts is written by now.
void main().then((code) => addon().exitNow(code));
