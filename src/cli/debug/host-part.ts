/** What a debug bundle says of this machine: read-only looks, each with a limit on its time and size. */
import { execFile } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statfsSync,
} from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';

const COMMAND_MAX_MS = 5000;
/** Of one text. */
export const TEXT_MAX_BYTES = 1024 * 1024;
const CGROUPS_MAX = 2000;
const PROCESSES_MAX = 2000;

export interface HostPlaces {
  dataRoot: string;
  execRoot: string;
}

/** What the database keeps of containers: to know what must not be in the bundle, and not to be put there. */
export function storedRecords(dataRoot: string): unknown[] {
  const path = join(dataRoot, 'mydock.db');
  if (!existsSync(path)) return [];
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const database = new DatabaseSync(path, { readOnly: true, timeout: COMMAND_MAX_MS });
  try {
    const rows = database.prepare('SELECT record FROM containers').all();
    return rows.map((row) => JSON.parse(String(row['record'])) as unknown);
  } finally {
    database.close();
  }
}

/** One file of the bundle each; a look that fails gives its error as the text. */
export function hostParts(places: HostPlaces): Record<string, () => Promise<string> | string> {
  return {
    'machine.txt': () => machine(places),
    'mounts.txt': () => limited(readFileSync('/proc/self/mountinfo', 'utf8')),
    'cgroups.txt': cgroups,
    'processes.txt': processes,
    'nftables.txt': nftables,
    'links.txt': () => command('ip', ['-d', 'addr']),
    'kernel.txt': kernelLines,
    'daemon.log': () => daemonLog(places),
    'takeover-and-files.txt': () => listing(places),
  };
}

function machine({ dataRoot }: HostPlaces): string {
  const release = read('/etc/os-release');
  const disk = statfsSync(dataRoot);
  const lines = [
    `kernel ${os.release()} ${os.arch()}`,
    `processors ${os.cpus().length}, memory ${os.totalmem()} bytes, free ${os.freemem()}`,
    `load ${os.loadavg().join(' ')}, up ${os.uptime()} s`,
    `data root: ${disk.bavail * disk.bsize} of ${disk.blocks * disk.bsize} bytes free, ${disk.ffree} of ${disk.files} inodes, type 0x${disk.type.toString(16)}`,
    `security modules: ${read('/sys/kernel/security/lsm')}`,
    `limits:\n${read('/proc/self/limits')}`,
    `pressure:\n${['cpu', 'io', 'memory'].map((name) => `${name}: ${read(`/proc/pressure/${name}`)}`).join('\n')}`,
    release,
  ];
  return lines.join('\n');
}

/** Folders of the engine in every hierarchy, with how many processes each has. */
function cgroups(): string {
  const lines: string[] = [];
  const walk = (folder: string, depth: number): void => {
    if (lines.length >= CGROUPS_MAX || depth > 6) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = join(folder, entry.name);
      if (/mydock/.test(path)) {
        const members = read(join(path, 'cgroup.procs'))
          .split('\n')
          .filter((line) => line !== '').length;
        lines.push(`${path} ${members}`);
      }
      walk(path, depth + 1);
    }
  };
  walk('/sys/fs/cgroup', 0);
  return lines.join('\n');
}

/** The engine's own processes: no command lines, which may hold secrets. */
function processes(): string {
  const lines: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const name = read(`/proc/${pid}/comm`).trim();
    if (!name.startsWith('mydock') || lines.length >= PROCESSES_MAX) continue;
    const status = read(`/proc/${pid}/status`);
    const field = (key: string): string => new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '?';
    const wait = read(`/proc/${pid}/wchan`);
    lines.push(
      `${pid} ${name} state ${field('State')}, parent ${field('PPid')}, threads ${field('Threads')}, resident ${field('VmRSS')}, descriptors ${descriptors(pid)}, waits in ${wait}`,
    );
  }
  return lines.join('\n');
}

function descriptors(pid: string): string {
  try {
    const kinds: Record<string, number> = {};
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const kind = readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/[:(].*/, '');
      const name = kind.startsWith('/') ? 'file' : kind;
      kinds[name] = (kinds[name] ?? 0) + 1;
    }
    return JSON.stringify(kinds);
  } catch {
    // It has ended, or a descriptor was closed meanwhile.
    return '?';
  }
}

/** Our tables alone: those of others are none of a report's business. */
async function nftables(): Promise<string> {
  const tables = (await command('nft', ['list', 'tables']))
    .split('\n')
    .filter((line) => /\bmydock/.test(line));
  const texts = await Promise.all(
    tables.map((line) => command('nft', ['list', ...line.trim().split(/\s+/)])),
  );
  return texts.join('\n') || 'no table of mydock';
}

async function kernelLines(): Promise<string> {
  const lines = (await command('dmesg', ['--ctime'])).split('\n');
  const ours = lines.filter((line) =>
    /mydock|oom|out of memory|overlay|erofs|veth|nf_|segfault|I\/O error/i.test(line),
  );
  return ours.slice(-500).join('\n');
}

async function daemonLog({ execRoot }: HostPlaces): Promise<string> {
  const files = [join(execRoot, 'mydockd.log'), '/var/log/mydock.log'];
  const texts = files.flatMap((path) => {
    const text = tail(path);
    return text === undefined ? [] : [`--- ${path}\n${text}`];
  });
  const journal = await command('journalctl', [
    '-u',
    'mydock.service',
    '-n',
    '2000',
    '--no-pager',
    '-o',
    'short-iso',
  ]);
  return limited([...texts, `--- journal\n${journal}`].join('\n'));
}

function listing({ dataRoot, execRoot }: HostPlaces): string {
  return [dataRoot, execRoot, join(execRoot, 'containers'), join(execRoot, 's')]
    .map((folder) => {
      try {
        return `${folder}:\n${readdirSync(folder).slice(0, 1000).join('\n')}`;
      } catch (error) {
        return `${folder}: ${String(error)}`;
      }
    })
    .join('\n\n');
}

/** The last part of a file; undefined where there is none. */
function tail(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, TEXT_MAX_BYTES / 2));
    const length = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8', 0, length);
  } finally {
    closeSync(fd);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not on this kernel, or gone meanwhile: the line stays empty.
    return '';
  }
}

export function limited(text: string): string {
  return text.length <= TEXT_MAX_BYTES ? text : `${text.slice(0, TEXT_MAX_BYTES)}\n(cut here)\n`;
}

function command(file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
  const limits = {
    timeout: COMMAND_MAX_MS,
    maxBuffer: 4 * TEXT_MAX_BYTES,
    killSignal: 'SIGKILL',
    env,
  } as const;
  return new Promise((resolve) => {
    execFile(file, args, limits, (error, stdout) => {
      resolve(error === null ? limited(stdout) : `${limited(stdout)}${file}: ${error.message}\n`);
    });
  });
}
