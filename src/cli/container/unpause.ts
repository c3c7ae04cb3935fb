/** `mydock unpause`. */
import { defineVerb } from '../verb.ts';
import { postToEach } from './each.ts';

export const unpause = defineVerb<Record<string, never>>({
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Let the processes of paused containers go on',
  args: { min: 1 },
  flags() {},
  run: ({ client, io }, names) => postToEach(client, io, names, 'unpause'),
});
