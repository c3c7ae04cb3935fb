/** `mydock build`: its usage and flags; what it does is in `../build/`. */
import { type BuildOptions, buildFlags } from '../build/build-options.ts';
import { runBuild } from '../build/run-build.ts';
import { defineVerb } from '../verb.ts';

export const build = defineVerb<BuildOptions>({
  usage: '[OPTIONS] PATH | URL | -',
  summary: 'Build an image from a Dockerfile',
  args: { min: 1, max: 1 },
  flags: buildFlags,
  run: ({ client, io }, [context = ''], options) => runBuild(client, io, context, options),
});
