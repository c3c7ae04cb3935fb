/** `mydock history`: the steps that an image was made by, and what each of them added. */
import type { ImageHistoryItem } from '../../api/images.ts';
import { humanDuration } from '../../base/human-duration.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import { rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { ellipsis, printableText, shortId } from '../format/text.ts';
import { humanSize } from '../format/units.ts';
import type { Io } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { platformQuery } from './platform-query.ts';

export interface HistoryOptions {
  format?: string;
  human: boolean;
  platform?: string;
  quiet: boolean;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const history = defineVerb<HistoryOptions>({
  usage: '[OPTIONS] IMAGE',
  summary: 'Show the history of an image',
  args: { min: 1, max: 1 },
  flags(command) {
    rowFormatFlag(command);
    boolFlag(command, '-H, --human', 'Show sizes and times as people read them', true);
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
    stringFlag(
      command,
      '--platform <string>',
      'The platform that the image must be of (os[/arch[/variant]])',
    );
    boolFlag(command, '-q, --quiet', 'Show only IDs');
  },
  run: ({ client, io }, [name = ''], options) => runHistory(client, io, name, options),
});

const HUMAN = 'table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}';
const PRECISE = 'table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}';
const CREATED_BY_LENGTH = 45;

export async function runHistory(
  client: Client,
  io: Io,
  name: string,
  options: HistoryOptions,
): Promise<number> {
  const steps = await client.json<ImageHistoryItem[]>('GET', `/images/${pathSegment(name)}/history`, {
    query: { platform: platformQuery(options.platform) },
  });
  const byDefault = options.quiet ? '{{.ID}}' : options.human ? HUMAN : PRECISE;
  printRows(io, historyKind(io.now(), options), steps, options.format, byDefault);
  return 0;
}

/** Fields in alphabetical order, as JSON output has them. */
function historyKind(nowMs: number, { human, trunc }: HistoryOptions): RowKind<ImageHistoryItem> {
  const createdBy = (text: string): string => {
    const line = text.replaceAll('\t', ' ');
    return trunc ? ellipsis(line, CREATED_BY_LENGTH) : line;
  };
  return {
    typeName: 'historyContext',
    fields: {
      Comment: {
        heading: 'COMMENT',
        value: ({ Comment }) => printableText(Comment),
        json: ({ Comment }) => Comment,
      },
      CreatedAt: {
        heading: 'CREATED AT',
        value: ({ Created }) => new Date(Created * 1000).toISOString().replace('.000Z', 'Z'),
      },
      CreatedBy: {
        heading: 'CREATED BY',
        value: ({ CreatedBy }) => printableText(createdBy(CreatedBy)),
        json: ({ CreatedBy }) => createdBy(CreatedBy),
      },
      CreatedSince: {
        heading: 'CREATED',
        value: ({ Created }) => (Created > 0 ? `${humanDuration(nowMs - Created * 1000)} ago` : 'N/A'),
      },
      ID: { heading: 'IMAGE', value: ({ Id }) => (trunc ? shortId(Id) : Id) },
      Size: { heading: 'SIZE', value: ({ Size }) => (human ? humanSize(Size, 3) : String(Size)) },
    },
  };
}
