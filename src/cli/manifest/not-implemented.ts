/** The verbs of `docker manifest` that keep manifest lists on the client: mydock has none of them. */
import { CliError } from '../cli-error.ts';
import { defineVerb, type Verb } from '../verb.ts';

/** Whatever its words are, it says that it is not there and fails. */
export function notImplemented(name: 'annotate' | 'create' | 'push' | 'rm'): Verb<Record<string, never>> {
  return defineVerb<Record<string, never>>({
    usage: '...',
    summary: 'Not implemented by mydock',
    args: { min: 0 },
    passThrough: true,
    flags() {},
    run: () => Promise.reject(new CliError(`manifest ${name} is not implemented by mydock`)),
  });
}
