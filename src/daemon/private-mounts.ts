/**
 * Keeps containers' mounts from spreading: on hosts whose root is shared (systemd's default), every mount below a
 * folder would be copied into all other mount namespaces and would keep file systems busy there.
 */
import { mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { addon } from '../native/addon.ts';

const MS_BIND = 0x1000;
const MS_PRIVATE = 0x40000;

/** Makes `directory` a private mount of itself, once; an earlier daemon's stays. */
export function keepMountsPrivate(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (isMountPoint(realpathSync(directory))) return;
  addon().mount(directory, directory, '', MS_BIND, '');
  addon().mount('', directory, '', MS_PRIVATE, '');
}

/** proc_pid_mountinfo(5): the fifth field is the mount point, with blanks and backslashes as octal escapes. */
function isMountPoint(path: string): boolean {
  const escaped = path.replace(
    /[ \t\n\\]/g,
    (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === escaped);
}
