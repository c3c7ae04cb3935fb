/**
 * SELinux labels of a container that asks for some with `--security-opt label=`, on a host that has SELinux: the
 * policy's own for containers (lxc_contexts(5)), with what the options replace. The category pair follows from the
 * container's ID, so that it is the same in each of its runs.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LabelOptions } from './security-options.ts';

export interface SelinuxLabels {
  process: string;
  mount: string;
}

const FALLBACK = {
  process: 'system_u:system_r:container_t:s0',
  file: 'system_u:object_r:container_file_t:s0',
};

/** Undefined where the options say nothing, or `disable`. `contexts` is the text of lxc_contexts. */
export function selinuxLabels(
  options: LabelOptions | undefined,
  id: string,
  contexts: string,
): SelinuxLabels | undefined {
  if (options === undefined || options.disable) return undefined;
  const level = options.level ?? `s0:${categories(id)}`;
  const process = contextOf(contexts, 'process') ?? FALLBACK.process;
  const file = contextOf(contexts, 'file') ?? FALLBACK.file;
  return {
    process: label(process, { ...options, level }),
    mount: label(file, {
      level,
      ...(options.filetype === undefined ? {} : { type: options.filetype }),
      ...(options.user === undefined ? {} : { user: options.user }),
    }),
  };
}

/** Two different categories of 1024, the smaller one first. */
function categories(id: string): string {
  const hash = createHash('sha256').update(id).digest();
  const first = hash.readUInt16LE(0) % 1024;
  const second = hash.readUInt16LE(2) % 1023;
  const other = second >= first ? second + 1 : second;
  return `c${Math.min(first, other)},c${Math.max(first, other)}`;
}

function label(
  context: string,
  parts: { user?: string; role?: string; type?: string; level: string },
): string {
  const [user, role, type] = context.split(':');
  return [parts.user ?? user, parts.role ?? role, parts.type ?? type, parts.level].join(':');
}

function contextOf(contexts: string, key: string): string | undefined {
  return new RegExp(`^\\s*${key}\\s*=\\s*"([^":\\s]+:[^":\\s]+:[^":\\s]+[^"\\s]*)"`, 'm').exec(contexts)?.[1];
}

/** Empty where the host's policy has none. */
export function readLxcContexts(): string {
  try {
    const policy = /^\s*SELINUXTYPE\s*=\s*([\w-]+)/m.exec(readFileSync('/etc/selinux/config', 'utf8'))?.[1];
    return readFileSync(`/etc/selinux/${policy ?? 'targeted'}/contexts/lxc_contexts`, 'utf8');
  } catch {
    // A policy without containers: the usual names are taken.
    return '';
  }
}
