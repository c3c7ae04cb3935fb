/** `mydock stop`, and what `restart` shares with it. */
import { parsedFlag, parseInteger, stringFlag } from '../flags/declare.ts';
import { defineVerb, type Verb } from '../verb.ts';
import { postToEach } from './each.ts';

export interface StopOptions {
  signal?: string;
  /** Seconds. */
  timeout?: number;
  /** What `--timeout` was called before. */
  time?: number;
}

export const stop = stopVerb('stop', 'Stop running containers');

/** A verb that stops containers by the daemon's `action`. */
export function stopVerb(action: string, summary: string): Verb<StopOptions> {
  return defineVerb<StopOptions>({
    usage: '[OPTIONS] CONTAINER [CONTAINER...]',
    summary,
    args: { min: 1 },
    flags(command) {
      stringFlag(command, '-s, --signal <string>', 'Signal that asks the container to stop');
      parsedFlag(command, '-t, --timeout <int>', 'Seconds to wait before killing', parseInteger);
      parsedFlag(command, '--time <int>', 'Seconds to wait before killing (older name)', parseInteger);
    },
    run: ({ client, io }, names, { signal, timeout, time }) =>
      postToEach(client, io, names, action, { t: timeout ?? time, signal }),
  });
}
