/** `mydock __complete WORDS…`: what may stand in place of the last word, a line each, with a description behind a tab. */

import type { ContainerSummary } from '../../api/containers.ts';
import type { ImageSummary } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { type Flag, FlagTable } from '../flags/flag-table.ts';
import type { Verb } from '../verb.ts';
import { TOP_VERBS, VERB_GROUPS } from '../verbs.ts';
import { FLAG_VALUES, type WordKind, wordKind } from './words.ts';

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** The shell completes file names by itself. */
export const FILES: Candidate = { value: ':files', description: '' };

export interface CompletionRequest {
  /** The words before the one in question, global flags left out. */
  readonly before: readonly string[];
  readonly current: string;
  readonly globalFlags: readonly Flag[];
  /** Asks the daemon; only called where names of objects are wanted. */
  client(): Promise<Client>;
}

/** Candidates that begin with the current word. */
export async function complete(request: CompletionRequest): Promise<Candidate[]> {
  const found = await candidates(request);
  return found.filter((candidate) => candidate === FILES || candidate.value.startsWith(request.current));
}

async function candidates(request: CompletionRequest): Promise<Candidate[]> {
  const { before, current } = request;
  const [first = '', second = ''] = before;
  if (before.length === 0) {
    return current.startsWith('-')
      ? flagNames(request.globalFlags)
      : summaries({ ...TOP_VERBS, ...VERB_GROUPS });
  }
  const top = Object.hasOwn(TOP_VERBS, first) ? TOP_VERBS[first] : undefined;
  if (top !== undefined) return await verbWords(request, first, await top.load(), before.slice(1));
  const group = Object.hasOwn(VERB_GROUPS, first) ? VERB_GROUPS[first] : undefined;
  if (group === undefined) return [];
  if (before.length === 1) return summaries(group.verbs);
  const entry = Object.hasOwn(group.verbs, second) ? group.verbs[second] : undefined;
  if (entry === undefined) return [];
  return await verbWords(request, `${first} ${second}`, await entry.load(), before.slice(2));
}

function summaries(entries: Readonly<Record<string, { readonly summary: string }>>): Candidate[] {
  return Object.entries(entries).map(([value, { summary }]) => ({ value, description: summary }));
}

async function verbWords(
  request: CompletionRequest,
  path: string,
  verb: Verb<never>,
  words: readonly string[],
): Promise<Candidate[]> {
  const command = new FlagTable();
  verb.flags(command);
  const place = placeOf(command, words, verb.stopAtFirstArgument === true);
  if (place.openFlag !== undefined) return await flagValues(request, place.openFlag, '');
  if (request.current.startsWith('-') && place.flagsAllowed) {
    const equals = request.current.indexOf('=');
    if (equals < 0) return flagNames(command.flags);
    const name = request.current.slice(0, equals);
    const option = command.findShown(name);
    return option === undefined ? [] : await flagValues(request, option, `${name}=`);
  }
  const kind = wordKind(path, place.position);
  return kind === undefined ? [] : await wordsOf(request, kind);
}

interface Place {
  /** How many words stand before, flags and their values left out. */
  readonly position: number;
  /** The flag whose value the current word is. */
  readonly openFlag: Flag | undefined;
  readonly flagsAllowed: boolean;
}

function placeOf(command: FlagTable, words: readonly string[], stopAtFirst: boolean): Place {
  let position = 0;
  let flagsAllowed = true;
  let open: Flag | undefined;
  for (const word of words) {
    if (open !== undefined) open = undefined;
    else if (flagsAllowed && word === '--') flagsAllowed = false;
    else if (flagsAllowed && word.startsWith('-') && word !== '-') open = flagOf(command, word);
    else {
      position++;
      if (stopAtFirst) flagsAllowed = false;
    }
  }
  return { position, openFlag: open, flagsAllowed };
}

/** The flag in `word` that still lacks its value: `--name`, `-e`, `-ite`. */
function flagOf(command: FlagTable, word: string): Flag | undefined {
  const name = word.startsWith('--') ? word : `-${word.at(-1)}`;
  const option = command.findShown(name);
  if (option?.required !== true) return undefined;
  if (word.startsWith('--')) return option;
  // An earlier letter that takes a value has taken the rest of the word.
  const taken = [...word.slice(1, -1)].some((letter) =>
    command.flags.some(({ short, required }) => short === `-${letter}` && required),
  );
  return taken ? undefined : option;
}

function flagNames(flags: readonly Flag[]): Candidate[] {
  return flags.filter(({ hidden }) => !hidden).map(({ long, description }) => ({ value: long, description }));
}

async function flagValues(request: CompletionRequest, option: Flag, prefix: string): Promise<Candidate[]> {
  const values = FLAG_VALUES[option.long ?? ''];
  if (values === undefined) return prefix === '' ? [FILES] : [];
  if (typeof values !== 'string') return values.map((value) => ({ value: prefix + value, description: '' }));
  const words = await wordsOf(request, values);
  return words.map((word) => (word === FILES ? FILES : { ...word, value: prefix + word.value }));
}

async function wordsOf(request: CompletionRequest, kind: WordKind): Promise<Candidate[]> {
  if (kind === 'files') return [FILES];
  if (kind === 'shell') return ['bash', 'fish', 'zsh'].map((value) => ({ value, description: '' }));
  if (kind === 'container-path' && /^[./~]/.test(request.current)) return [FILES];
  const client = await request.client();
  switch (kind) {
    case 'image':
      return await imageNames(client);
    case 'network':
      return await networkNames(client);
    case 'socket':
      return await socketNames(client);
    case 'volume':
      return await volumeNames(client);
    case 'any-object':
      return (
        await Promise.all([containers(client), imageNames(client), networkNames(client), volumeNames(client)])
      ).flat();
    case 'container-path': {
      const names = (await containers(client)).map((one) => ({ ...one, value: `${one.value}:` }));
      const fits = names.some(({ value }) => value.startsWith(request.current));
      return fits ? names : [FILES];
    }
    default:
      return await containers(client, STATES[kind]);
  }
}

const STATES: Readonly<Record<string, readonly string[]>> = {
  running: ['running', 'paused', 'restarting'],
  paused: ['paused'],
  stopped: ['created', 'exited', 'dead'],
};

async function containers(client: Client, states?: readonly string[]): Promise<Candidate[]> {
  const list = await client.json<ContainerSummary[]>('GET', '/containers/json', { query: { all: true } });
  return list
    .filter(({ State }) => states === undefined || states.includes(State))
    .flatMap(({ Names, Image, Status }) =>
      Names.map((name) => name.replace(/^\//, ''))
        .filter((name) => !name.includes('/'))
        .map((value) => ({ value, description: `${Image}, ${Status}` })),
    );
}

async function imageNames(client: Client): Promise<Candidate[]> {
  const images = await client.json<ImageSummary[]>('GET', '/images/json');
  return images
    .flatMap(({ RepoTags }) => RepoTags ?? [])
    .filter((tag) => !tag.startsWith('<none>'))
    .map((value) => ({ value, description: 'image' }));
}

async function networkNames(client: Client): Promise<Candidate[]> {
  return named(await client.json<{ Name: string; Driver: string }[]>('GET', '/networks'));
}

async function volumeNames(client: Client): Promise<Candidate[]> {
  const { Volumes } = await client.json<{ Volumes: { Name: string; Driver: string }[] | null }>(
    'GET',
    '/volumes',
  );
  return named(Volumes ?? []);
}

async function socketNames(client: Client): Promise<Candidate[]> {
  const sockets = await client.json<{ Name: string; Path: string }[]>('GET', '/sockets');
  return sockets.map(({ Name, Path }) => ({ value: Name, description: Path }));
}

function named(objects: readonly { Name: string; Driver: string }[]): Candidate[] {
  return objects.map(({ Name, Driver }) => ({ value: Name, description: Driver }));
}
