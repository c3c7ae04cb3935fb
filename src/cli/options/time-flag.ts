/** `--since` and `--until`. */
import { CliError } from '../cli-error.ts';
import { parseTimestamp } from './quantity.ts';

/** Unix time for the query, undefined for no time. Throws `invalid value for "since": …`. */
export function timeFlag(name: string, text: string | undefined, nowMs: number): string | undefined {
  try {
    return parseTimestamp(text ?? '', nowMs) || undefined;
  } catch (error) {
    throw new CliError(`invalid value for "${name}": ${(error as Error).message}`);
  }
}
