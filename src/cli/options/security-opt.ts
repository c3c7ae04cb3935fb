/** `--security-opt`: profiles named by a file are read here, for the daemon may be on another machine. */
import { readInputFile } from './input-file.ts';

export interface SecurityOptions {
  readonly options: string[];
  /** `systempaths=unconfined` was given: nothing is masked, nothing read-only. */
  readonly unconfinedPaths: boolean;
}

/** Throws where an option has no value or a seccomp profile cannot be read as JSON. */
export function securityOptions(flags: readonly string[]): SecurityOptions {
  const rest = flags.filter((flag) => flag !== 'systempaths=unconfined');
  return { options: rest.map(securityOption), unconfinedPaths: rest.length < flags.length };
}

function securityOption(flag: string): string {
  if (flag === 'no-new-privileges' || flag === 'writable-cgroups') return flag;
  const match = /^([^=:]*)[=:](.*)$/s.exec(flag);
  if (match === null) throw new Error(`invalid --security-opt: "${flag}"`);
  const [, name = '', value = ''] = match;
  if (name !== 'seccomp' || value === 'unconfined' || value === 'builtin') return flag;
  return `seccomp=${seccompProfile(value)}`;
}

function seccompProfile(path: string): string {
  let text: string;
  try {
    text = readInputFile(path).toString();
  } catch (cause) {
    throw new Error(`opening seccomp profile (${path}) failed: ${(cause as Error).message}`, { cause });
  }
  try {
    JSON.parse(text);
    // Not written anew: its numbers may have more digits than a double holds.
    return text.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');
  } catch (cause) {
    throw new Error(`compacting json for seccomp profile (${path}) failed: ${(cause as Error).message}`, {
      cause,
    });
  }
}
