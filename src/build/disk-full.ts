/** Builds that run out of room: which disk is full, and what makes room on it. */
import { isDiskFull, UnavailableError } from '../base/errors.ts';

class DiskFullError extends UnavailableError {}

/** `directory` lies on the disk that builds write to. Other errors, and those that say it already, stay as they are. */
export function explainDiskFull(error: unknown, directory: string): unknown {
  if (!isDiskFull(error) || isExplained(error)) return error;
  const hint = '"mydock builder prune" removes what builds have kept';
  return new DiskFullError(`the disk of ${directory} is full (${hint})`, error);
}

function isExplained(error: unknown): boolean {
  return error instanceof DiskFullError || (error instanceof Error && isExplained(error.cause));
}
