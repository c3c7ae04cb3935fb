/**
 * `--security-opt`: the words of HostConfig.SecurityOpt and what they mean. Docker's, and of Podman's `mask`,
 * `unmask` and `label=filetype`.
 */
import { InvalidParameterError } from '../base/errors.ts';

export interface SecurityOptions {
  /** Undefined: the daemon's default. */
  noNewPrivileges?: boolean;
  /** Undefined: the default; `unconfined`, `builtin`, or a profile's JSON text. */
  seccomp?: string;
  /** AppArmor profile name; undefined: the default. */
  apparmor?: string;
  /** Undefined: as `Privileged`. */
  writableCgroups?: boolean;
  /** SELinux; undefined where nothing is said about it. */
  label?: LabelOptions;
  /** Absolute paths that are masked as well. */
  mask: string[];
  /** Patterns of paths that are neither masked nor read-only; `ALL` for all of them. */
  unmask: string[];
}

/** What replaces the parts of a container's SELinux labels. */
export interface LabelOptions {
  /** No label at all. */
  disable: boolean;
  user?: string;
  role?: string;
  type?: string;
  level?: string;
  /** Type of the container's files. */
  filetype?: string;
}

/** Throws InvalidParameter with Docker's text for words that mean nothing. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result: SecurityOptions = { mask: [], unmask: [] };
  for (const option of options) {
    if (option === 'no-new-privileges') result.noNewPrivileges = true;
    else if (option === 'writable-cgroups') result.writableCgroups = true;
    else if (option === 'disable') result.label = { disable: true };
    else applyPair(option, result);
  }
  return result;
}

function applyPair(option: string, result: SecurityOptions): void {
  // A colon in place of the equals sign is the old form.
  const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
  if (at < 0) throw new InvalidParameterError(`invalid --security-opt 1: "${option}"`);
  const key = option.slice(0, at);
  const value = option.slice(at + 1);
  switch (key) {
    case 'seccomp':
      result.seccomp = value;
      return;
    case 'apparmor':
      result.apparmor = value;
      return;
    case 'no-new-privileges':
      result.noNewPrivileges = flag(option, value);
      return;
    case 'writable-cgroups':
      result.writableCgroups = flag(option, value);
      return;
    case 'label':
      result.label = addLabel(option, value, result.label ?? { disable: false });
      return;
    case 'systempaths':
      if (value !== 'unconfined') throw new InvalidParameterError(`invalid --security-opt 2: "${option}"`);
      result.unmask.push('ALL');
      return;
    case 'mask':
      result.mask.push(...paths(option, value));
      return;
    case 'unmask':
      result.unmask.push(...(value === 'ALL' ? ['ALL'] : paths(option, value)));
      return;
    default:
      throw new InvalidParameterError(`invalid --security-opt 2: "${option}"`);
  }
}

const LABEL_PARTS = ['user', 'role', 'type', 'level', 'filetype'] as const;

/** `disable`, or `part:value`; a level may hold colons itself. */
function addLabel(option: string, value: string, label: LabelOptions): LabelOptions {
  if (value === 'disable') return { ...label, disable: true };
  const at = value.indexOf(':');
  const part = LABEL_PARTS.find((name) => name === value.slice(0, at));
  const text = value.slice(at + 1);
  const valid = part === 'level' ? /^[a-z0-9:.,-]{1,256}$/i : /^[a-z0-9_.-]{1,256}$/i;
  if (part === undefined || !valid.test(text)) {
    throw new InvalidParameterError(`invalid --security-opt 2: "${option}": Bad label option "${value}"`);
  }
  return { ...label, [part]: text };
}

function paths(option: string, value: string): string[] {
  const all = value.split(':');
  for (const path of all) {
    if (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..')) {
      throw new InvalidParameterError(`invalid --security-opt 2: "${option}": "${path}" is no absolute path`);
    }
  }
  return all;
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

function flag(option: string, value: string): boolean {
  if (TRUE.has(value)) return true;
  if (FALSE.has(value)) return false;
  throw new InvalidParameterError(`invalid --security-opt 2: "${option}"`);
}
