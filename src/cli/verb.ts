/** What a verb is: a usage line, a flag table, and the function that does it. */

import type { Client } from '../client/client.ts';
import type { FlagTable } from './flags/flag-table.ts';
import type { Io } from './io.ts';

/** What a verb works with. */
export interface Session {
  readonly client: Client;
  readonly io: Io;
  /** `-H` as given; the verbs that manage the daemon itself look at it. */
  readonly host: string | undefined;
}

/** One command. `Options` is what `flags` makes of the command line. */
export interface Verb<Options = Record<string, unknown>> {
  /** What follows the verb's name: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly summary: string;
  /** How many words must and may follow the flags; `max` absent for any number. */
  readonly args: { readonly min: number; readonly max?: number };
  /** Flags end at the first word (run, exec): what follows belongs to the container's command. Default false. */
  readonly stopAtFirstArgument?: boolean;
  /** Errors of the daemon end the program with 125 and a hint (run, create, start's siblings). Default 1. */
  readonly daemonErrorExit?: number;
  /** All words after the verb are handed on unread (they are another program's flags). Default false. */
  readonly passThrough?: boolean;
  flags(command: FlagTable): void;
  /** Returns the exit code. */
  run(session: Session, args: string[], options: Options): Promise<number>;
}

/** Keeps the options' type between `flags` and `run` of one verb; the registry holds verbs of every type. */
export function defineVerb<Options>(verb: Verb<Options>): Verb<Options> {
  return verb;
}
