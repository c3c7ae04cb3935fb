/** The columns of `ps -ef`, read from /proc (proc(5)) for given processes. One that has gone is left out. */
import { readFileSync, statSync } from 'node:fs';
import { errnoCode } from '../base/errors.ts';

export const PROCESS_TITLES = ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'] as const;

/** USER_HZ is 100 on every architecture that is supported here. */
const TICKS_PER_SECOND = 100;
const DAY_MS = 86_400_000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function listProcesses(pids: readonly number[]): string[][] {
  const users = hostUsers();
  const bootMs = bootTimeMs();
  const nowMs = Date.now();
  return pids.flatMap((pid) => {
    try {
      const stat = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
      const { uid } = statSync(`/proc/${pid}`);
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '').replaceAll('\0', ' ');
      const row = describe(stat, { bootMs, nowMs, command });
      return [[users.get(uid) ?? String(uid), String(pid), ...row]];
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes(errnoCode(error) ?? '')) return [];
      throw error;
    }
  });
}

export interface ProcessStat {
  name: string;
  state: string;
  parent: number;
  /** Device number of the controlling terminal; 0 for none. */
  terminal: number;
  /** CPU time and start since boot, in ticks. */
  cpuTicks: number;
  startTicks: number;
}

/** The name may hold anything, closing parentheses too: what follows the last one is numbers. */
export function parseStat(text: string): ProcessStat {
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ');
  const field = (index: number): number => Number(fields[index - 3] ?? 0);
  return {
    name: text.slice(text.indexOf('(') + 1, end),
    state: fields[0] ?? '?',
    parent: field(4),
    terminal: field(7),
    cpuTicks: field(14) + field(15),
    startTicks: field(22),
  };
}

/** All columns behind the PID. */
export function describe(
  stat: ProcessStat,
  at: { bootMs: number; nowMs: number; command: string },
): string[] {
  const startMs = at.bootMs + (stat.startTicks * 1000) / TICKS_PER_SECOND;
  const cpuSeconds = stat.cpuTicks / TICKS_PER_SECOND;
  const livedSeconds = Math.max(1, (at.nowMs - startMs) / 1000);
  return [
    String(stat.parent),
    String(Math.min(99, Math.floor((cpuSeconds * 100) / livedSeconds))),
    startText(startMs, at.nowMs),
    terminalName(stat.terminal),
    clock(cpuSeconds),
    // Kernel threads and zombies have no arguments.
    at.command === '' ? `[${stat.name}]${stat.state === 'Z' ? ' <defunct>' : ''}` : at.command,
  ];
}

/** `14:05` on its first day, then `Nov21`, and the year after a year. */
function startText(startMs: number, nowMs: number): string {
  const start = new Date(startMs);
  const pad = (number: number): string => String(number).padStart(2, '0');
  if (nowMs - startMs < DAY_MS) return `${pad(start.getHours())}:${pad(start.getMinutes())}`;
  if (nowMs - startMs > 365 * DAY_MS) return String(start.getFullYear());
  return `${MONTHS[start.getMonth()]}${pad(start.getDate())}`;
}

function clock(seconds: number): string {
  const pad = (number: number): string => String(number).padStart(2, '0');
  const whole = Math.floor(seconds);
  const days = Math.floor(whole / 86_400);
  const text = `${pad(Math.floor(whole / 3600) % 24)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return days === 0 ? text : `${days}-${text}`;
}

/** Unix98 terminals (majors 136 to 143) and virtual consoles; the number's bits lie as makedev(3) puts them. */
export function terminalName(device: number): string {
  if (device === 0) return '?';
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  return '?';
}

function bootTimeMs(): number {
  return Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? 0) * 1000;
}

/** User names of the host, where the processes run. */
function hostUsers(): Map<number, string> {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
    return new Map(
      lines.flatMap((line): [number, string][] => {
        const [name = '', , uid = ''] = line.split(':');
        return name === '' || uid === '' ? [] : [[Number(uid), name]];
      }),
    );
  } catch {
    // A host without accounts: numbers are shown.
    return new Map();
  }
}
