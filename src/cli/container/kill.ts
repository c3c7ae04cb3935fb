/** `mydock kill`. */
import { stringFlag } from '../flags/declare.ts';
import { defineVerb } from '../verb.ts';
import { postToEach } from './each.ts';

export interface KillOptions {
  signal?: string;
}

export const kill = defineVerb<KillOptions>({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Send a signal to running containers (default KILL)',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-s, --signal <string>', 'Signal to send');
  },
  run: ({ client, io }, names, { signal }) => postToEach(client, io, names, 'kill', { signal }),
});
