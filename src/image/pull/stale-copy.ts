/**
 * What stands in for an image that cannot be pulled because its registry is out of order: the copy that is here
 * already, where the user allows it (`--pull-stale`, or `stale` of one request). A registry that answers, and says
 * that the image is gone or not for this user, is always believed.
 */
import { EngineError, errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { configPlatform } from '../image-config.ts';
import { imageMatchesPlatform, type Platform } from '../platform.ts';
import type { OnProgress } from '../progress.ts';
import { canonicalString, familiarString, isNameOnly, type Reference } from '../reference.ts';
import { RegistryError, TransportError, translatePullError } from '../registry/errors.ts';
import type { Image, ImageStore } from '../store/image-store.ts';

/** The registry's answer cannot be trusted, or its address is wrong: not an outage. */
const NO_OUTAGE = /^(?:TOKEN|REDIRECTS|ERR_INVALID_URL|ERR_TLS.*|ERR_SSL.*|.*(?:CERT|SIGNATURE|ISSUER).*)$/;

/** 429, a server's own failure, or no connection. Wrong certificates are none: they may be an attack. */
export function isOutage(error: unknown): boolean {
  if (error instanceof RegistryError) {
    return error.status === 429 || (error.status >= 500 && error.status !== 501);
  }
  return error instanceof TransportError && !NO_OUTAGE.test(error.code);
}

export interface FailedPull {
  error: unknown;
  reference: Reference;
  platform: Platform | undefined;
  /** Whether the user allows a local copy. */
  allowed: boolean;
  imageStore: Pick<ImageStore, 'tryResolve'>;
  onProgress: OnProgress;
}

/**
 * Returns the local copy after it was told in the stream and in the log, or throws the pull's error in Docker's words;
 * where a copy is here but not allowed, the error says how it would be.
 */
export function copyOrFailure(failed: FailedPull): Image {
  const { error, reference, allowed, onProgress } = failed;
  const translated = translatePullError(error, reference);
  const copy = isOutage(error) ? localCopy(failed) : undefined;
  if (copy === undefined) throw translated;
  const date = (copy.lastTaggedAt || copy.createdAt).slice(0, 'yyyy-mm-dd'.length);
  const here = date === '' ? copy.id : `${copy.id} of ${date}`;
  if (!allowed) {
    const hint = `a local copy ${here} is here: --stale (or the daemon's --pull-stale) allows it`;
    if (!(translated instanceof EngineError)) throw translated;
    throw new EngineError(translated.kind, `${translated.message}; ${hint}`);
  }
  const status = `${outageText(error, reference.domain)}; using the local copy ${here}`;
  log.warn({ image: familiarString(reference), error: errorMessage(error) }, status);
  onProgress({ status });
  return copy;
}

function outageText(error: unknown, domain: string): string {
  if (error instanceof RegistryError) return `Registry ${domain} answered ${error.status}`;
  return `Registry ${domain} cannot be reached (${error instanceof Error ? error.message : String(error)})`;
}

function localCopy({ reference, platform, imageStore }: FailedPull): Image | undefined {
  if (isNameOnly(reference)) return undefined;
  const copy = imageStore.tryResolve(canonicalString(reference));
  if (copy === undefined || platform === undefined) return copy;
  return imageMatchesPlatform(platform, configPlatform(copy.config)) ? copy : undefined;
}
