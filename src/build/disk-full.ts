/** Builds that run out of room: which disk is full, and what makes room on it. */
import { isDiskFull, UnavailableError } from '../base/errors.ts';

/** `directory` lies on the disk that builds write to. Other errors stay as they are. */
export function explainDiskFull(error: unknown, directory: string): unknown {
  if (!isDiskFull(error)) return error;
  const hint = '"mydock builder prune" removes what builds have kept';
  return new UnavailableError(`the disk of ${directory} is full (${hint})`, error);
}
