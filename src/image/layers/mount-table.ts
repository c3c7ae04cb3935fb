/** The kernel's table of mounts in this mount namespace: proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  /** major:minor of the file system: the same in all mounts of it. */
  device: string;
  mountPoint: string;
  /** Root of the mount within its file system. */
  root: string;
  fileSystem: string;
  /** What is mounted: a device, a file, or whatever the file system makes of it. */
  source: string;
  /** How it propagates: `shared:N`, `master:N` and so on; none where it is private. */
  propagation: string[];
  /** Options of the file system, comma-separated, escaped as the kernel has them. */
  superOptions: string;
}

/** All mounts, in the order in which they were made: of several on one mount point the last is on top. */
export function readMountTable(): MountEntry[] {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** Mounts on a folder and below it. Every running container has several elsewhere, which are not read. */
export function mountsBelow(
  folder: string,
  table = readFileSync('/proc/self/mountinfo', 'utf8'),
): MountEntry[] {
  const start = ` ${escapeOctal(folder)}`;
  if (!table.includes(start)) return [];
  const lines = table.split('\n').filter((line) => line.includes(start));
  return parseMountTable(lines.join('\n')).filter(
    ({ mountPoint }) => mountPoint === folder || mountPoint.startsWith(`${folder}/`),
  );
}

function parseMountTable(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    /* Optional fields, as many as there are, end with a dash. */
    const dash = fields.indexOf('-', 6);
    const [device, root, mountPoint] = fields.slice(2, 5);
    const [fileSystem, source, superOptions] = fields.slice(dash + 1);
    if (dash < 0 || device === undefined || root === undefined || mountPoint === undefined) continue;
    entries.push({
      device,
      root: unescapeOctal(root),
      mountPoint: unescapeOctal(mountPoint),
      fileSystem: fileSystem ?? '',
      source: unescapeOctal(source ?? ''),
      propagation: fields.slice(6, dash),
      superOptions: superOptions ?? '',
    });
  }
  return entries;
}

function escapeOctal(text: string): string {
  return text.replace(/[ \t\n\\]/g, (sign) => `\\${sign.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Blanks, backslashes and the like are written as `\` and three octal digits. */
export function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes = Buffer.from(text).toString('latin1');
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(plain, 'latin1').toString();
}
