/**
 * mydockd as a service of systemd. Where its unit is installed, systemd alone starts the daemon of this machine: one
 * that a client started would not be restarted when it ends, would lie in the cgroup of a user's session, and would
 * stand in the service's way. So clients say how the service is, and what starts it.
 */
import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';

export const SERVICE = 'mydock.service';
export const SOCKET_UNIT = 'mydock.socket';

/** Where systemd and its own tools look whether systemd runs (sd_booted(3)). */
const BOOTED = '/run/systemd/system';
/** Where units are installed (systemd.unit(5)); a masked one is a link in the first. */
const UNIT_FOLDERS = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
const SYSTEMCTL_TIMEOUT_MS = 30_000;

/** Properties of the service as systemd words them (org.freedesktop.systemd1(5)); empty where they are not known. */
export interface ServiceState {
  readonly loadState: string;
  readonly activeState: string;
  readonly result: string;
  readonly unitFileState: string;
}

/** True where systemd runs this machine and has a unit for the daemon, also a masked or a stopped one. */
export function serviceIsInstalled(exists: (path: string) => boolean = isThere): boolean {
  return exists(BOOTED) && UNIT_FOLDERS.some((folder) => exists(join(folder, SERVICE)));
}

/** Also of a link whose target is missing. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Runs systemctl and returns its stdout. Throws with its own words where it fails. */
export async function systemctl(...args: string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    execFile('systemctl', args, { timeout: SYSTEMCTL_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim() || error.message, { cause: error }));
    });
  });
}

/** Undefined where systemd does not tell. */
export async function serviceState(): Promise<ServiceState | undefined> {
  try {
    return readProperties(
      await systemctl('show', '--property=LoadState,ActiveState,Result,UnitFileState', SERVICE),
    );
  } catch {
    // No systemctl, or a systemd that does not answer: the caller says that it is not known.
    return undefined;
  }
}

function readProperties(text: string): ServiceState {
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  return {
    loadState: value('LoadState'),
    activeState: value('ActiveState'),
    result: value('Result'),
    unitFileState: value('UnitFileState'),
  };
}

/** One sentence on why the service's socket takes no connections, and what to do. */
export function whyServiceIsSilent(state: ServiceState | undefined): string {
  if (state === undefined) return `systemd starts the daemon here (${SERVICE}), and does not say how it is`;
  if (state.loadState === 'masked')
    return `systemd starts the daemon here, and ${SERVICE} is masked: \`systemctl unmask ${SERVICE}\` first`;
  switch (state.activeState) {
    case 'failed':
      return `systemd starts the daemon here, and ${SERVICE} has failed (${state.result}): \`journalctl -u ${SERVICE}\` says why, \`systemctl start ${SERVICE}\` starts it again`;
    case 'inactive':
      return state.unitFileState === 'disabled'
        ? `systemd starts the daemon here, and ${SERVICE} is not started: \`systemctl enable --now ${SERVICE}\` starts it, now and at every boot`
        : `systemd starts the daemon here, and ${SERVICE} is not started: \`systemctl start ${SERVICE}\` starts it`;
    default:
      return `${SERVICE} is ${state.activeState}, and nothing listens there: \`systemctl restart ${SOCKET_UNIT} ${SERVICE}\``;
  }
}
