/** `--security-opt`: the words of HostConfig.SecurityOpt and what they mean. */
import { InvalidParameterError, NotImplementedError } from '../base/errors.ts';

export interface SecurityOptions {
  noNewPrivileges: boolean;
  /** Undefined: the default; `unconfined`, `builtin`, or a profile's JSON text. */
  seccomp?: string;
  /** AppArmor profile name; undefined: the default. */
  apparmor?: string;
  /** Undefined: as `Privileged`. */
  writableCgroups?: boolean;
}

/** Throws InvalidParameter with Docker's text for words that mean nothing, NotImplemented for SELinux labels. */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const result: SecurityOptions = { noNewPrivileges: false };
  for (const option of options) {
    if (option === 'no-new-privileges') result.noNewPrivileges = true;
    else if (option === 'writable-cgroups') result.writableCgroups = true;
    else if (option !== 'disable') applyPair(option, result);
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
      if (value === 'disable') return;
      throw new NotImplementedError(`security option "${option}": SELinux labels are not implemented`);
    default:
      throw new InvalidParameterError(`invalid --security-opt 2: "${option}"`);
  }
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

function flag(option: string, value: string): boolean {
  if (TRUE.has(value)) return true;
  if (FALSE.has(value)) return false;
  throw new InvalidParameterError(`invalid --security-opt 2: "${option}"`);
}
