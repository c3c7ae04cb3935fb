/**
 * Which paths of a container are hidden and which cannot be written: Docker's defaults, HostConfig.MaskedPaths and
 * ReadonlyPaths in their place, and the security options `mask` and `unmask` on top.
 */
import type { HostConfig } from '../api/host-config.ts';
import { InvalidParameterError } from '../base/errors.ts';
import { compilePathPattern } from '../base/path-pattern.ts';
import type { HostFacts } from './host-facts.ts';
import { cleanPath, MASKED_PATHS, READONLY_PATHS } from './mounts.ts';
import type { SecurityOptions } from './security-options.ts';

export interface SystemPaths {
  maskedPaths: string[];
  readonlyPaths: string[];
}

/** A privileged container has neither kind, unless it names some. */
export function systemPaths(
  hostConfig: HostConfig,
  security: SecurityOptions,
  facts: Pick<HostFacts, 'thermalPaths'>,
): SystemPaths {
  const privileged = hostConfig.Privileged === true;
  const open = security.unmask.map(unmaskMatcher);
  const kept = (path: string): boolean => !open.some((matches) => matches(path));
  const masked = hostConfig.MaskedPaths ?? (privileged ? [] : [...MASKED_PATHS, ...facts.thermalPaths]);
  const readonly = hostConfig.ReadonlyPaths ?? (privileged ? [] : READONLY_PATHS);
  return {
    maskedPaths: [...new Set([...masked.filter(kept), ...security.mask.map(cleanPath)])],
    readonlyPaths: readonly.filter(kept),
  };
}

/** A path, or a pattern in which `*` and `?` stand for what has no slash (`/proc/*`). */
function unmaskMatcher(pattern: string): (path: string) => boolean {
  if (pattern === 'ALL') return () => true;
  // Brackets and backslashes mean themselves here.
  return compilePathPattern(cleanPath(pattern).replace(/[[\\]/g, '\\$&'));
}

/** Throws InvalidParameter for a path that is not absolute or that climbs. */
export function checkSystemPaths({ MaskedPaths, ReadonlyPaths }: HostConfig): void {
  for (const [field, paths] of Object.entries({ MaskedPaths, ReadonlyPaths })) {
    for (const path of paths ?? []) {
      if (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..')) {
        throw new InvalidParameterError(`invalid path "${path}" in ${field}: it must be absolute`);
      }
    }
  }
}
