/**
 * An OCI runtime that stands still at a verb (`create`, `start`) for as long as a test wants, and is mydock's own
 * otherwise: what meets a start that is under way can be seen with it.
 */
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './command.ts';
import { type Daemon, daemonWithBusybox } from './harness.ts';

const FOLDER = '/run/held-runtime';
/** The verb, as long as the file is there. */
const HOLD = join(FOLDER, 'hold');
/** The runtime stands there. */
const HELD = join(FOLDER, 'held');

/** For `--runtime`. */
export const HELD_RUNTIME = 'held';

export interface HeldDaemon {
  readonly daemon: Daemon;
  readonly close: () => Promise<void>;
}

/** A daemon that has the runtime. */
export async function daemonWithHeldRuntime(): Promise<HeldDaemon> {
  mkdirSync(FOLDER);
  const path = join(FOLDER, 'runtime');
  const config = join(FOLDER, 'daemon.json');
  writeFileSync(config, JSON.stringify({ runtimes: { [HELD_RUNTIME]: { path } } }));
  const parts = await daemonWithBusybox(['--config-file', config]);
  const script = [
    '#!/bin/sh',
    'for word; do',
    `  [ "$word" != "$(cat ${HOLD} 2>/dev/null)" ] || { : > ${HELD}; while [ -e ${HOLD} ]; do sleep 0.02; done; }`,
    'done',
    `exec ${parts.daemon.execRoot}/mydock-runtime "$@"`,
  ];
  writeFileSync(path, `${script.join('\n')}\n`);
  chmodSync(path, 0o755);
  return parts;
}

/** From now on. */
export function holdRuntime(verb: 'create' | 'start'): void {
  rmSync(HELD, { force: true });
  writeFileSync(HOLD, verb);
}

/** Waits until it stands where it is to. */
export async function runtimeIsHeld(): Promise<void> {
  await eventually('the runtime stands still', () => existsSync(HELD));
}

export function releaseRuntime(): void {
  rmSync(HOLD, { force: true });
}
