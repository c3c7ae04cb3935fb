/** The platform arguments that every build has: `BUILD…` is where it runs, `TARGET…` what it builds for. */
import { formatPlatform, type Platform } from '../../image/platform.ts';

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
