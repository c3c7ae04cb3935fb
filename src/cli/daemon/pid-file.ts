/** Finds the running daemon through its PID file. */
import { readFileSync } from 'node:fs';

/** The daemon's process ID; undefined where the file is missing or names another program's process by now. */
export function runningDaemon(pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'utf8').trim());
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    return name === 'mydockd' ? pid : undefined;
  } catch {
    // No file, or no such process.
    return undefined;
  }
}
