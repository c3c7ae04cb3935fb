/**
 * `mydock image diff`: what two images or containers do not have in common. Exit codes as diff(1)'s: 0 equal, 1
 * different, 2 trouble, which is also that nothing different was found where not everything could be compared.
 */
import type { ImageDifference } from '../../api/image-difference.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, parsedFlag, stringFlag } from '../flags/declare.ts';
import { differenceText } from '../format/image-difference.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface ImageDiffOptions {
  format: string;
  only?: string;
  limit: number;
  /** False with `--no-content`. */
  content: boolean;
  times: boolean;
}

const EQUAL = 0;
const DIFFERENT = 1;
const TROUBLE = 2;
const LIMIT = 50;
const PARTS = ['packages', 'files', 'config'];

export const imageDiff = defineVerb<ImageDiffOptions>({
  usage: '[OPTIONS] FROM [TO]',
  summary: 'Show what is different between two images or containers',
  // Counted below: the usual exit code for a wrong number would say that something is different.
  args: { min: 0 },
  daemonErrorExit: TROUBLE,
  flags(command) {
    parsedFlag(command, '--format <string>', 'Print "text" or "json"', parseFormat, 'text');
    stringFlag(command, '--only <list>', 'Compare only some of "packages,files,config"');
    parsedFlag(
      command,
      '--limit <int>',
      'Lines of a section, 0 for all and for the files of packages',
      parseLimit,
      LIMIT,
    );
    boolFlag(command, '--no-content', 'Do not read files: those of equal size count as equal');
    boolFlag(command, '--times', 'Take modification times for differences');
  },
  run: ({ client, io }, names, options) => {
    const [from, to = '', ...more] = names;
    if (from === undefined || more.length > 0)
      throw new CliError(`'mydock image diff' takes one or two names, not ${names.length}`, TROUBLE);
    return runImageDiff(client, io, from, to, options);
  },
});

/** With an empty `to`, `from` is a container that is compared with its own image. */
export async function runImageDiff(
  client: Client,
  io: Io,
  from: string,
  to: string,
  options: ImageDiffOptions,
): Promise<number> {
  const difference = await ask(client, from, to, options);
  if (options.format === 'json') io.stdout.write(`${JSON.stringify(difference, null, 2)}\n`);
  else {
    const color = io.stdout.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb';
    io.stdout.write(differenceText(difference, { limit: options.limit, color }));
  }
  if (difference.Equal) return EQUAL;
  return hasDifference(difference) ? DIFFERENT : TROUBLE;
}

async function ask(
  client: Client,
  from: string,
  to: string,
  options: ImageDiffOptions,
): Promise<ImageDifference> {
  const only = options.only?.split(',').map((part) => part.trim());
  const unknown = only?.find((part) => !PARTS.includes(part));
  if (unknown !== undefined)
    throw new CliError(`invalid argument "${unknown}" for "--only": use packages, files or config`, TROUBLE);
  return await client.json<ImageDifference>('GET', '/images/difference', {
    query: {
      from,
      to: to === '' ? undefined : to,
      only: only?.join(','),
      content: options.content,
      times: options.times,
    },
  });
}

function hasDifference({ Packages, Files, Config }: ImageDifference): boolean {
  const files = Files === undefined ? 0 : Files.Added + Files.Removed + Files.Changed;
  return files + (Packages?.Changes.length ?? 0) + (Config?.length ?? 0) > 0;
}

function parseFormat(text: string): string {
  if (text !== 'text' && text !== 'json') throw new Error('it must be text or json');
  return text;
}

function parseLimit(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error('it must be a number, 0 or more');
  return Number(text);
}
