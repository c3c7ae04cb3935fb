/** `mydock pull`. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, optionalBoolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printLine } from '../io.ts';
import { contentTrustFlag, requireNoContentTrust } from '../options/content-trust.ts';
import { parseReference } from '../options/reference.ts';
import { defineVerb } from '../verb.ts';
import { pullImage } from './pull-image.ts';

export interface PullOptions {
  allTags: boolean;
  disableContentTrust: boolean;
  platform?: string;
  quiet: boolean;
  stale?: boolean;
}

export const pull = defineVerb<PullOptions>({
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  summary: 'Pull an image from a registry',
  args: { min: 1, max: 1 },
  flags(command) {
    boolFlag(command, '-a, --all-tags', 'Pull every tag of the repository');
    stringFlag(command, '--platform <string>', 'Platform of the image (os[/arch[/variant]])');
    contentTrustFlag(command);
    boolFlag(command, '-q, --quiet', 'Print only the name');
    optionalBoolFlag(
      command,
      '--stale',
      'Allow a local copy when the registry answers 429 or cannot be reached',
    );
  },
  run: ({ client, io }, [name = ''], options) => runPull(client, io, name, options),
});

/** The last line is the name that was pulled, in full. */
export async function runPull(client: Client, io: Io, name: string, options: PullOptions): Promise<number> {
  requireNoContentTrust(options.disableContentTrust);
  const reference = parseReference(name);
  if (options.allTags && !reference.defaulted) throw new CliError("tag can't be used with --all-tags/-a");
  if (!options.allTags && reference.defaulted && !options.quiet) printLine(io, 'Using default tag: latest');
  await pullImage(client, io, io.stdout, name, options);
  const { repository, tag, digest } = reference;
  const suffix = options.allTags
    ? ''
    : (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);
  printLine(io, repository + suffix);
  return 0;
}
