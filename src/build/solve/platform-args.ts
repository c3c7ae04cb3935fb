/** The platform arguments that every build has: `BUILD…` is where it runs, `TARGET…` what it builds for. */
import { formatPlatform, hostPlatform, type Platform } from '../../image/platform.ts';

/** What builds are for that name no platform: of amd64 no level, which the next machine may not have. */
export function buildPlatform(): Platform {
  const { os, architecture, variant } = hostPlatform();
  return architecture === 'amd64' || variant === undefined
    ? { os, architecture }
    : { os, architecture, variant };
}

export function platformArgs(build: Platform, target: Platform): Record<string, string> {
  return Object.fromEntries([...named('BUILD', build), ...named('TARGET', target)]);
}

function named(prefix: string, platform: Platform): [string, string][] {
  return [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
}
