/**
 * Times of a build, in seconds since 1970: that of a stage's steps is its base image's, that of the images is the newest
 * of what went in, and SOURCE_DATE_EPOCH stands in for both.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { ImageConfig } from '../../image/image-config.ts';
import type { SolveRequest } from '../solve-request.ts';

/** ZIP archives cannot say an earlier time. */
export const FIRST_EPOCH = 315_532_800;

/** `created` of an image, never before what can be told of files. */
export function epochOf(config: Pick<ImageConfig, 'created'>): number {
  const created = Date.parse(config.created ?? '');
  return Number.isNaN(created) ? FIRST_EPOCH : Math.max(FIRST_EPOCH, Math.floor(created / 1000));
}

/** SOURCE_DATE_EPOCH as it was given. */
export function explicitEpochOf({ sourceDateEpoch, buildArgs }: SolveRequest): number | undefined {
  if (sourceDateEpoch !== undefined) return sourceDateEpoch;
  const text = Object.hasOwn(buildArgs, 'SOURCE_DATE_EPOCH') ? buildArgs['SOURCE_DATE_EPOCH'] : undefined;
  if (text === undefined || text === null || text === '') return undefined;
  if (!/^\d{1,12}$/.test(text)) {
    throw new InvalidParameterError(`invalid SOURCE_DATE_EPOCH "${text}": expected seconds since 1970`);
  }
  return Number(text);
}
