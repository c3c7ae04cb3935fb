/** `mydock images`: one row a name, or a tree of platforms; images without a name show as `<none>`. */
import type { ImageSummary } from '../../api/images.ts';
import { humanDuration } from '../../base/human-duration.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag } from '../flags/declare.ts';
import { filterFlag, rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { shortId } from '../format/text.ts';
import { goTime, humanSize } from '../format/units.ts';
import type { Io } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';
import { treeText } from './tree.ts';

export interface ImagesOptions {
  all: boolean;
  digests: boolean;
  filter: string[];
  format?: string;
  quiet: boolean;
  tree: boolean;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const images = defineVerb<ImagesOptions>({
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  summary: 'List images',
  args: { min: 0, max: 1 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Show images that others were built on too');
    boolFlag(command, '--digests', 'Show digests');
    filterFlag(command);
    rowFormatFlag(command);
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
    boolFlag(command, '-q, --quiet', 'Show only IDs');
    boolFlag(command, '--tree', 'Show the platforms of each image below it');
  },
  run: ({ client, io }, [name], options) => runImages(client, io, name, options),
});

const NONE = '<none>';
const TABLE = 'table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}';

export async function runImages(
  client: Client,
  io: Io,
  name: string | undefined,
  options: ImagesOptions,
): Promise<number> {
  if (options.tree) requireTreeAlone(options);
  const filter = name === undefined ? options.filter : [...options.filter, `reference=${name}`];
  const list = await client.json<ImageSummary[]>('GET', '/images/json', {
    query: {
      all: options.all ? true : undefined,
      filters: filterQuery(filter),
      manifests: options.tree ? true : undefined,
    },
  });
  if (options.tree) {
    const untagged = options.all || filter.some((text) => /^\s*dangling\s*=/i.test(text));
    io.stdout.write(treeText(list, io.stdout, untagged));
    return 0;
  }
  const digests = options.digests || /\.Digest\b/.test(options.format ?? '');
  const rows = list.flatMap((image) => imageRows(image, digests));
  const byDefault = options.quiet ? '{{.ID}}' : tableFormat(options.digests);
  printRows(io, imageKind(io.now(), options.trunc), rows, options.format, byDefault);
  return 0;
}

function requireTreeAlone({ quiet, trunc, digests, format }: ImagesOptions): void {
  const others: [string, boolean][] = [
    ['--quiet', quiet],
    ['--no-trunc', !trunc],
    ['--show-digest', digests],
    ['--format', format !== undefined && format !== ''],
  ];
  const given = others.find(([, isGiven]) => isGiven);
  if (given !== undefined) throw new CliError(`${given[0]} is not yet supported with --tree`);
}

function tableFormat(digests: boolean): string {
  return digests ? TABLE.replace('{{.Tag}}', '{{.Tag}}\\t{{.Digest}}') : TABLE;
}

export interface ImageRow {
  readonly image: ImageSummary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

/** A repository that has tags shows its digests only where they were asked for. */
export function imageRows(image: ImageSummary, withDigests: boolean): ImageRow[] {
  const tags = byRepository(image.RepoTags ?? [], ':');
  const digests = byRepository(image.RepoDigests ?? [], '@');
  const row = (repository: string, tag: string, digest: string): ImageRow => ({
    image,
    repository,
    tag,
    digest,
  });
  const rows: ImageRow[] = [];
  for (const repository of new Set([...tags.keys(), ...digests.keys()])) {
    const digestsOf = withDigests ? (digests.get(repository) ?? [NONE]) : [NONE];
    for (const tag of tags.get(repository) ?? [NONE]) {
      for (const digest of digestsOf) rows.push(row(repository, tag, digest));
    }
  }
  return rows.length === 0 ? [row(NONE, NONE, NONE)] : rows;
}

function byRepository(names: readonly string[], separator: string): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const name of names) {
    const at = name.lastIndexOf(separator);
    const repository = name.slice(0, at);
    if (repository === NONE) continue;
    result.set(repository, [...(result.get(repository) ?? []), name.slice(at + 1)]);
  }
  return result;
}

/** Fields in alphabetical order, as JSON output has them. */
export function imageKind(nowMs: number, trunc: boolean): RowKind<ImageRow> {
  const measured = (bytes: number): string => (bytes < 0 ? 'N/A' : humanSize(bytes));
  return {
    typeName: 'imageContext',
    fields: {
      Containers: {
        heading: 'CONTAINERS',
        value: ({ image }) => (image.Containers < 0 ? 'N/A' : String(image.Containers)),
      },
      CreatedAt: { heading: 'CREATED AT', value: ({ image }) => goTime(image.Created * 1000) },
      CreatedSince: {
        heading: 'CREATED',
        value: ({ image }) =>
          image.Created > 0 ? `${humanDuration(nowMs - image.Created * 1000)} ago` : 'N/A',
      },
      Digest: { heading: 'DIGEST', value: (row) => row.digest },
      ID: { heading: 'IMAGE ID', value: ({ image }) => (trunc ? shortId(image.Id) : image.Id) },
      Repository: { heading: 'REPOSITORY', value: (row) => row.repository },
      SharedSize: { heading: 'SHARED SIZE', value: ({ image }) => measured(image.SharedSize) },
      Size: { heading: 'SIZE', value: ({ image }) => humanSize(image.Size, 3) },
      Tag: { heading: 'TAG', value: (row) => row.tag },
      UniqueSize: {
        heading: 'UNIQUE SIZE',
        value: ({ image }) => (image.SharedSize < 0 ? 'N/A' : humanSize(image.Size - image.SharedSize)),
      },
      VirtualSize: { heading: 'SIZE', value: ({ image }) => humanSize(image.Size) },
    },
  };
}
