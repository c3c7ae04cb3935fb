/** `mydock inspect` and the `inspect` verbs of containers, images, volumes and networks. */
import { type Client, pathSegment, type QueryValue, readText } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { failureMessage } from '../container/each.ts';
import { runSecurity } from '../container/security.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { printObjects } from '../format/objects.ts';
import { printableText } from '../format/text.ts';
import { platformQuery } from '../image/platform-query.ts';
import { type Io, printError } from '../io.ts';
import { defineVerb, type Verb } from '../verb.ts';

export interface InspectOptions {
  format?: string;
  platform?: string;
  /** Of bare `inspect` and of containers: what they can do. */
  security?: boolean;
  size: boolean;
  type?: string;
  /** Of `network inspect` alone. */
  verbose?: boolean;
}

/** In the order in which a bare name is looked up. */
const TYPES = ['container', 'image', 'network', 'volume'] as const;
type ObjectType = (typeof TYPES)[number];

const FORMAT_HELP = 'Output as "json" or a Go template';
const SECURITY_HELP = 'Show what a container can and cannot do to the host';
const SIZE_HELP = "Show a container's sizes";

export const inspect = defineVerb<InspectOptions>({
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  summary: 'Show all that is known about containers, images, networks and volumes',
  args: { min: 1 },
  flags(command) {
    stringFlag(command, '-f, --format <string>', FORMAT_HELP);
    boolFlag(command, '--security', SECURITY_HELP);
    boolFlag(command, '-s, --size', SIZE_HELP);
    stringFlag(command, '--type <string>', 'Look only for objects of this type');
  },
  run: ({ client, io }, names, options) => runInspect(client, io, names, options),
});

export const inspectContainers = inspectVerb(
  'container',
  'CONTAINER [CONTAINER...]',
  'Show all about containers',
);
export const inspectImages = inspectVerb('image', 'IMAGE [IMAGE...]', 'Show all about images');
export const inspectNetworks = inspectVerb('network', 'NETWORK [NETWORK...]', 'Show all about networks');
export const inspectVolumes = inspectVerb('volume', 'VOLUME [VOLUME...]', 'Show all about volumes');

function inspectVerb(type: ObjectType, args: string, summary: string): Verb<InspectOptions> {
  return {
    usage: `[OPTIONS] ${args}`,
    summary,
    args: { min: 1 },
    flags(command) {
      stringFlag(command, '-f, --format <string>', FORMAT_HELP);
      if (type === 'container') {
        boolFlag(command, '--security', SECURITY_HELP);
        boolFlag(command, '-s, --size', SIZE_HELP);
      }
      if (type === 'image') {
        stringFlag(
          command,
          '--platform <string>',
          'The platform that the image must be of (os[/arch[/variant]])',
        );
      }
      if (type === 'network') boolFlag(command, '-v, --verbose', 'Show more where the daemon has it');
    },
    run: ({ client, io }, names, options) => {
      if (options.security === true) return runSecurity(client, io, names, options.format);
      const query = objectQuery(type, options);
      return inspectAll(io, names, options.format, (name) => fetchObject(client, type, name, query));
    },
  };
}

/** Objects that are found are printed also where others are not. */
export async function runInspect(
  client: Client,
  io: Io,
  names: readonly string[],
  options: InspectOptions,
): Promise<number> {
  const { type } = options;
  if (options.security === true) {
    if (type !== undefined && type !== 'container') throw new CliError('--security is for containers alone');
    return await runSecurity(client, io, names, options.format);
  }
  if (type === undefined)
    return await inspectAll(io, names, options.format, (name) => findObject(client, name, options));
  if (!isObjectType(type)) {
    throw new CliError(`unknown type: "${type}": must be one of "${TYPES.join('", "')}"`);
  }
  const query = objectQuery(type, options);
  return await inspectAll(io, names, options.format, (name) => fetchObject(client, type, name, query));
}

function isObjectType(type: string): type is ObjectType {
  return (TYPES as readonly string[]).includes(type);
}

async function inspectAll(
  io: Io,
  names: readonly string[],
  format: string | undefined,
  fetch: (name: string) => Promise<string>,
): Promise<number> {
  const found: string[] = [];
  const failures: string[] = [];
  for (const name of names) {
    try {
      found.push(await fetch(name));
    } catch (error) {
      failures.push(failureMessage(error));
    }
  }
  printObjects(io, found, format);
  for (const failure of failures) printError(io, printableText(failure));
  return failures.length === 0 ? 0 : 1;
}

type ObjectQuery = Readonly<Record<string, QueryValue>>;

/** What a type's request takes of the flags. */
function objectQuery(type: ObjectType, { size, platform, verbose }: InspectOptions): ObjectQuery {
  if (type === 'network' && verbose) return { verbose: true };
  if (type === 'container' && size) return { size: true };
  return type === 'image' && platform !== undefined ? { platform: platformQuery(platform) } : {};
}

/** The object's JSON as the daemon sent it. */
async function fetchObject(
  client: Client,
  type: ObjectType,
  name: string,
  query: ObjectQuery,
): Promise<string> {
  const segment = pathSegment(name);
  const paths: Record<ObjectType, string> = {
    container: `/containers/${segment}/json`,
    image: `/images/${segment}/json`,
    network: `/networks/${segment}`,
    volume: `/volumes/${segment}`,
  };
  return (await readText(await client.stream('GET', paths[type], { query }))).trim();
}

async function findObject(client: Client, name: string, options: InspectOptions): Promise<string> {
  for (const type of TYPES) {
    try {
      return await fetchObject(client, type, name, objectQuery(type, options));
    } catch (error) {
      if (!isMiss(error, type)) throw error;
    }
  }
  throw new Error(`Error: No such object: ${name}`);
}

/** Names that one type does not allow are answered with 400 by some daemons. */
function isMiss(error: unknown, type: ObjectType): boolean {
  if (!(error instanceof ApiError)) return false;
  if (error.status === 404) return true;
  return error.status === 400 || (type !== 'container' && error.status === 501);
}
