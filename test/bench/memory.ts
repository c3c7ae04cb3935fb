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

/** Sum over all processes whose program is one of these; undefined where there is none. */
export function memoryOf(names: readonly string[], kind: Kind): number | undefined {
  let sum: number | undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [program = '', script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const isOne = names.some(
        (name) => program.split('/').at(-1)?.startsWith(name) || script.includes(`/${name}.cjs`),
      );
      if (isOne) sum = (sum ?? 0) + bytesOf(pid, kind);
    } catch {
      // The process has ended meanwhile, or is a kernel thread.
    }
  }
  return sum;
}
