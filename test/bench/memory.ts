/**
 * Memory of processes, from proc(5) smaps_rollup: what they have for themselves alone, or all that is resident. The
 * latter is the fair one for a program whose file other processes map as well, such as Node.
 */
import { readdirSync, readFileSync } from 'node:fs';

export type Kind = 'private' | 'resident';

const FIELDS = { private: /^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm, resident: /^Rss:\s+(\d+) kB$/gm };

function bytesOf(pid: string, kind: Kind): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const fields = [...text.matchAll(FIELDS[kind])];
  return fields.reduce((sum, match) => sum + Number(match[1]) * 1024, 0);
}

/** Sum over all processes whose name (proc(5) comm, 15 bytes) begins with one of these; undefined for none. */
export function memoryOf(names: readonly string[], kind: Kind): number | undefined {
  let sum: number | undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      if (names.some((name) => comm.startsWith(name.slice(0, 15)))) sum = (sum ?? 0) + bytesOf(pid, kind);
    } catch {
      // The process has ended meanwhile, or is a kernel thread.
    }
  }
  return sum;
}
