/** The platform arguments that every build has: `BUILD…` is where it runs, `TARGET…` what it builds for. */
import { InvalidParameterError } from '../../base/errors.ts';
import { formatPlatform, hostPlatform, type Platform, parsePlatform } from '../../image/platform.ts';

/** What builds are for that name no platform: of amd64 no level, which the next machine may not have. */
export function buildPlatform(): Platform {
  const { os, architecture, variant } = hostPlatform();
  return architecture === 'amd64' || variant === undefined
    ? { os, architecture }
    : { os, architecture, variant };
}

/** What a request names, or what builds are for without. Throws InvalidParameter. */
export function targetPlatforms(texts: readonly string[]): Platform[] {
  if (texts.length === 0) return [buildPlatform()];
  const platforms = texts.map((text) => parsePlatform(text));
  const keys = platforms.map(formatPlatform);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw new InvalidParameterError(`platform ${twice} is given twice`);
  return platforms;
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
