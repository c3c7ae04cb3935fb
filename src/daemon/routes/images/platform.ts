/** The `platform` query of image operations: an OCI platform as JSON (Engine API 1.48 and newer). */
import { InvalidParameterError } from '../../../base/errors.ts';
import { normalizePlatform, type Platform, parsePlatform } from '../../../image/platform.ts';
import type { ApiRequest } from '../../request.ts';

/** Throws InvalidParameter in Docker's words. */
export function decodePlatform(text: string): Platform {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`failed to parse platform: ${(error as Error).message}`, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidParameterError('failed to parse platform: expected a JSON object');
  }
  const fields = value as Record<string, unknown>;
  const field = (name: string): string => {
    const given = fields[name] ?? '';
    if (typeof given !== 'string') {
      throw new InvalidParameterError(`failed to parse platform: ${name} is no string`);
    }
    return given;
  };
  const [os, architecture, variant] = [field('os'), field('architecture'), field('variant')];
  const optional = variant !== '' || field('os.version') !== '' || hasFeatures(fields['os.features']);
  if (os === '' && architecture === '' && optional) {
    throw new InvalidParameterError('optional platform fields provided, but OS and Architecture are missing');
  }
  if (os === '' || architecture === '') {
    throw new InvalidParameterError('both OS and Architecture must be provided');
  }
  return normalizePlatform({ os, architecture, variant });
}

/** The query of a request; `os/arch[/variant]` is taken as well. Throws InvalidParameter for several. */
export function requestedPlatform(request: ApiRequest): Platform | undefined {
  const [text, ...others] = request.query.getAll('platform').filter((value) => value !== '');
  if (text === undefined) return undefined;
  if (others.length > 0) {
    throw new InvalidParameterError('more than one platform is not supported: an image here is for one');
  }
  return text.startsWith('{') ? decodePlatform(text) : parsePlatform(text);
}

function hasFeatures(features: unknown): boolean {
  return Array.isArray(features) && features.length > 0;
}
