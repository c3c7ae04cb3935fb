/** `mydock search`: finds images on Docker Hub, or with `HOST/TERM` on another registry. */
import type { SearchResultItem } from '../../api/distribution.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag, parsedFlag, parseInteger } from '../flags/declare.ts';
import { filterFlag, rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { ellipsis } from '../format/text.ts';
import type { Io } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';
import { registryAuth } from './registry-auth.ts';

export interface SearchOptions {
  filter: string[];
  format?: string;
  limit?: number;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const search = defineVerb<SearchOptions>({
  usage: '[OPTIONS] TERM',
  summary: 'Search Docker Hub for images',
  args: { min: 1, max: 1 },
  flags(command) {
    filterFlag(command);
    rowFormatFlag(command);
    parsedFlag(command, '--limit <int>', 'Most results to show (1 to 100, default 25)', parseInteger);
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
  },
  run: ({ client, io }, [term = ''], options) => runSearch(client, io, term, options),
});

const TABLE = 'table {{.Name}}\\t{{.Description}}\\t{{.StarCount}}\\t{{.IsOfficial}}';
const DESCRIPTION_LENGTH = 45;

export async function runSearch(
  client: Client,
  io: Io,
  term: string,
  options: SearchOptions,
): Promise<number> {
  const auth = await registryAuth(searchedRepository(term), io);
  const results = await client.json<SearchResultItem[]>('GET', '/images/search', {
    query: { term, limit: options.limit || undefined, filters: filterQuery(options.filter) },
    headers: auth === undefined ? {} : { 'x-registry-auth': auth },
  });
  printRows(io, searchKind(options.trunc), results, options.format, TABLE);
  return 0;
}

/** A repository of the registry that the term names, as far as credentials are chosen by it. */
function searchedRepository(term: string): string {
  const [first = '', rest] = term.split(/\/(.*)/s);
  const named = rest !== undefined && (/[.:]/.test(first) || first === 'localhost');
  return `${named ? first : 'docker.io'}/search`;
}

/** Fields in alphabetical order, as JSON output has them. */
function searchKind(trunc: boolean): RowKind<SearchResultItem> {
  return {
    typeName: 'searchContext',
    templateFailure: 'template parsing error',
    package: 'registry',
    fields: {
      Description: {
        heading: 'DESCRIPTION',
        value: ({ description }) => {
          const line = oneLine(description);
          return trunc ? ellipsis(line, DESCRIPTION_LENGTH) : line;
        },
      },
      IsOfficial: {
        heading: 'OFFICIAL',
        value: ({ is_official }) => (is_official ? '[OK]' : ''),
        json: ({ is_official }) => String(is_official),
      },
      Name: { heading: 'NAME', value: ({ name }) => oneLine(name) },
      StarCount: { heading: 'STARS', value: ({ star_count }) => String(star_count) },
    },
  };
}

/** Strangers wrote it: no line ends, and nothing that a terminal would obey. */
function oneLine(text: string): string {
  return text.replace(/[\r\n]/g, ' ').replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}
