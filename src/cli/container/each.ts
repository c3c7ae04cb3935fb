/** Does one thing to each of several objects, as Docker's verbs do: one failure does not stop the others. */
import type { Client, QueryValue } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { containerPath } from './lookup.ts';

/**
 * Runs `action` for all names at once and prints, in their order, what each gives back (default its name, for null
 * nothing). Throws one `CliError` with every message where some failed.
 */
export async function forEachName(
  io: Io,
  names: readonly string[],
  action: (name: string) => Promise<string | undefined | null>,
): Promise<number> {
  const failures: string[] = [];
  const results = names.map((name) => Promise.resolve().then(() => action(name)));
  for (const result of results) result.catch(() => {});
  for (const [index, name] of names.entries()) {
    try {
      const line = await results[index];
      if (line !== null) printLine(io, line ?? name);
    } catch (error) {
      failures.push(failureMessage(error));
    }
  }
  if (failures.length > 0) throw new CliError(failures.join('\n'));
  return 0;
}

/** `POST /containers/<name>/<action>` for each of the containers, whose names are printed. */
export function postToEach(
  client: Client,
  io: Io,
  names: readonly string[],
  action: string,
  query: Record<string, QueryValue> = {},
): Promise<number> {
  return forEachName(io, names, async (name) => {
    await client.json('POST', containerPath(name, `/${action}`), { query });
    return name;
  });
}

/** As it is shown to the user: errors of the daemon are marked as such. */
export function failureMessage(error: unknown): string {
  if (error instanceof ApiError) return `Error response from daemon: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
