/**
 * Which arguments of ps(1) are let through to the host: those that show a container's processes and no more. In BSD
 * syntax, to which ps falls back where it cannot read an argument otherwise, `e` adds the environment of each process,
 * and a column that is given the title PID shows processes of others. So both shape and columns are from lists.
 */

/** Each alone, or with `o COLUMNS` at its end. */
const SELECTIONS: ReadonlySet<string> = new Set([
  ...['-e', '-A', '-ef', '-Af', '-eF', '-AF', '-el', '-ely', '-efl', '-eLf', '-eLF', '-ejH', '-eH', '-efH'],
  ...['ax', 'axu', 'aux', 'auxw', 'auxww', 'auxf', 'axf', 'axuf', 'axl', 'axj', '-aux', '-auxw', '-auxww'],
]);
const COLUMN_SELECTIONS: ReadonlySet<string> = new Set(['o', '-o', '-eo', '-Ao', 'axo', 'axwo', 'axwwo']);

const COLUMNS: ReadonlySet<string> = new Set([
  ...['pid', 'ppid', 'pgid', 'pgrp', 'sid', 'sess', 'tid', 'lwp', 'spid', 'nlwp', 'thcount', 'tpgid'],
  ...['user', 'uid', 'euser', 'euid', 'ruser', 'ruid', 'suser', 'suid', 'fuser', 'fuid'],
  ...['group', 'gid', 'egroup', 'egid', 'rgroup', 'rgid', 'sgroup', 'sgid', 'fgroup', 'fgid'],
  ...['comm', 'ucmd', 'ucomm', 'cmd', 'args', 'command', 'fname', 'label', 'cgroup'],
  ...['time', 'cputime', 'cputimes', 'etime', 'etimes', 'start', 'start_time', 'stime', 'lstart', 'bsdstart'],
  ...['bsdtime', 'tty', 'tt', 'tname', 'stat', 'state', 's', 'f', 'flag', 'flags', 'wchan'],
  ...['pcpu', '%cpu', 'c', 'cp', 'pmem', '%mem', 'rss', 'rssize', 'rsz', 'vsz', 'vsize', 'sz', 'size', 'drs'],
  ...[
    'pri',
    'ni',
    'nice',
    'cls',
    'class',
    'policy',
    'rtprio',
    'psr',
    'maj_flt',
    'min_flt',
    'majflt',
    'minflt',
  ],
]);

export function showsProcessesOnly(psArgs: string): boolean {
  const words = psArgs.split(/\s+/).filter((word) => word !== '');
  const [selection = '-ef', columns] = words;
  if (words.length <= 1) return SELECTIONS.has(selection);
  return (
    words.length === 2 &&
    COLUMN_SELECTIONS.has(selection) &&
    (columns ?? '').split(',').every((column) => COLUMNS.has(column))
  );
}
