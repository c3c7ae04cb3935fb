/** `mydock push`. */
import { styleText } from 'node:util';
import type { JSONMessage, OCIDescriptor } from '../../api/images.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { jsonLines } from '../../client/json-lines.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { type Io, printError, printLine } from '../io.ts';
import { contentTrustFlag, requireNoContentTrust } from '../options/content-trust.ts';
import { parseReference } from '../options/reference.ts';
import { registryAuth } from '../registry/registry-auth.ts';
import { showProgress } from '../terminal/progress.ts';
import { defineVerb } from '../verb.ts';

export interface PushOptions {
  allTags: boolean;
  disableContentTrust: boolean;
  platform?: string;
  quiet: boolean;
}

export const push = defineVerb<PushOptions>({
  usage: '[OPTIONS] NAME[:TAG]',
  summary: 'Push an image to a registry',
  args: { min: 1, max: 1 },
  flags(command) {
    boolFlag(command, '-a, --all-tags', 'Push every tag of the repository');
    stringFlag(
      command,
      '--platform <string>',
      'Push the image of this platform without the others of its index (os[/arch[/variant]])',
    );
    contentTrustFlag(command);
    boolFlag(command, '-q, --quiet', 'Print only the name');
  },
  run: ({ client, io }, [name = ''], options) => runPush(client, io, name, options),
});

/** Notes go to stderr, after the progress. */
export async function runPush(client: Client, io: Io, name: string, options: PushOptions): Promise<number> {
  requireNoContentTrust(options.disableContentTrust);
  const reference = parseReference(name);
  if (options.allTags && !reference.defaulted) throw new CliError("tag can't be used with --all-tags/-a");
  if (!options.allTags && reference.defaulted && !options.quiet) printLine(io, 'Using default tag: latest');
  const { repository, tag, digest } = reference;
  if (digest !== undefined) throw new CliError('cannot push a digest reference');
  const auth = await registryAuth(repository, io);
  const response = await client.stream('POST', `/images/${pathSegment(repository)}/push`, {
    query: { tag: options.allTags ? undefined : tag, platform: platformJson(options.platform) },
    headers: { 'x-registry-auth': auth ?? '' },
  });
  const notes: string[] = [];
  try {
    await showProgress(jsonLines<JSONMessage>(response), options.quiet ? undefined : io.stdout, (aux) => {
      const note = strippedNote(aux);
      if (note !== undefined) notes.push(note);
    });
  } finally {
    for (const note of notes) printNote(io, note);
  }
  if (options.quiet) printLine(io, options.allTags ? repository : `${repository}:${tag}`);
  return 0;
}

/** The API takes a platform as an object. */
function platformJson(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [os = '', architecture = '', variant = ''] = text.split('/');
  // The daemon says what is wrong with one that has not two or three parts.
  if (architecture === '' || text.split('/').length > 3) return text;
  return JSON.stringify({ os, architecture, ...(variant === '' ? {} : { variant }) });
}

/** What to tell where only a part of a multi-platform image was pushed. */
function strippedNote(aux: unknown): string | undefined {
  const { manifestPushedInsteadOfIndex, originalIndex, selectedManifest } = aux as {
    manifestPushedInsteadOfIndex?: boolean;
    originalIndex?: OCIDescriptor;
    selectedManifest?: OCIDescriptor;
  };
  if (manifestPushedInsteadOfIndex !== true) return undefined;
  const { os = '', architecture = '', variant = '' } = selectedManifest?.platform ?? {};
  const platform = [os, architecture, variant].filter((part) => part !== '').join('/');
  return (
    `Only the image for ${platform} was pushed: the other platforms of its index are neither here nor in the repository\n` +
    `${originalIndex?.digest} -> ${selectedManifest?.digest}`
  );
}

function printNote(io: Io, note: string): void {
  const head = 'Info: ';
  const shown = io.stderr.isTTY === true && !io.env['NO_COLOR'] ? styleText(['bold', 'cyan'], head) : head;
  const [first = '', ...rest] = note.split('\n');
  printError(io, `\n${shown}${first}`);
  for (const line of rest) printError(io, ' '.repeat(head.length) + line);
}
