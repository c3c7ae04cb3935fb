/**
 * The daemon's directives on what containers may do: defaults for those that say nothing themselves, and where CDI
 * devices are described.
 */
import { readFileSync, statSync } from 'node:fs';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { DEFAULT_CDI_SPEC_DIRS } from '../oci/cdi/registry.ts';
import type { SecurityDefaults } from '../oci/generate.ts';
import { parseSeccompProfile } from '../oci/seccomp-profile.ts';
import { directive } from './directive.ts';

export interface SecurityConfig {
  /** `builtin`, `unconfined`, or the path of a profile; empty is `builtin`. */
  seccompProfile: string;
  noNewPrivileges: boolean;
  /** Empty: CDI's usual folders; one empty text: none. */
  cdiSpecDirs: string[];
  /** Docker's switches; `cdi` alone has an effect. */
  features: Record<string, boolean>;
}

export const SECURITY_DIRECTIVES = [
  directive(
    'seccomp-profile',
    'seccomp-profile',
    'seccompProfile',
    'text',
    'Seccomp profile of containers: builtin, unconfined or a file',
  ),
  directive(
    'no-new-privileges',
    'no-new-privileges',
    'noNewPrivileges',
    'flag',
    'Containers get no-new-privileges unless they say otherwise',
  ),
  directive('cdi-spec-dir', 'cdi-spec-dirs', 'cdiSpecDirs', 'list', 'Folder of CDI specification files'),
  directive('feature', 'features', 'features', 'features', 'Feature to switch on or off: cdi=false'),
] as const;

export function securityConfigDefaults(): SecurityConfig {
  return { seccompProfile: '', noNewPrivileges: false, cdiSpecDirs: [], features: {} };
}

/** Folders in order of precedence, the last first; none where CDI is switched off. */
export function cdiFolders({ cdiSpecDirs, features }: SecurityConfig): string[] {
  if (features['cdi'] === false) return [];
  if (cdiSpecDirs.length === 0) return [...DEFAULT_CDI_SPEC_DIRS];
  const folders = cdiSpecDirs.filter((folder) => folder !== '');
  const relative = folders.find((folder) => !folder.startsWith('/'));
  if (relative !== undefined) {
    throw new InvalidParameterError(`--cdi-spec-dir "${relative}" is not an absolute path`);
  }
  return folders;
}

const MAX_PROFILE_BYTES = 4 * 1024 * 1024;

/** Reads the profile. Throws InvalidParameter naming the file. */
export function securityDefaults({ seccompProfile, noNewPrivileges }: SecurityConfig): SecurityDefaults {
  if (['', 'builtin', 'unconfined'].includes(seccompProfile)) {
    return { noNewPrivileges, seccompProfile: seccompProfile || 'builtin' };
  }
  try {
    if (statSync(seccompProfile).size > MAX_PROFILE_BYTES) {
      throw new InvalidParameterError(`it is larger than ${MAX_PROFILE_BYTES} bytes`);
    }
    const text = readFileSync(seccompProfile, 'utf8');
    parseSeccompProfile(text);
    return { noNewPrivileges, seccompProfile: text };
  } catch (error) {
    throw new InvalidParameterError(
      `opening seccomp profile (${seccompProfile}) failed: ${errorMessage(error)}`,
    );
  }
}
