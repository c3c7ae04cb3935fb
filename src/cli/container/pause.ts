/** `mydock pause`. */
import { defineVerb } from '../verb.ts';
import { postToEach } from './each.ts';

export const pause = defineVerb<Record<string, never>>({
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Freeze all processes of containers',
  args: { min: 1 },
  flags() {},
  run: ({ client, io }, names) => postToEach(client, io, names, 'pause'),
});
