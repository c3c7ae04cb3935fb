/** `mydock system df`: what images, containers, volumes and build cache take on the disk. */
import type { ContainerSummary } from '../../api/containers.ts';
import type { BuildCacheRecord, DiskUsage } from '../../api/system.ts';
import { humanDuration } from '../../base/human-duration.ts';
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { containerRows } from '../container/ps.ts';
import { boolFlag } from '../flags/declare.ts';
import { rowFormatFlag } from '../flags/list-flags.ts';
import { USAGE, usageRows } from '../format/disk-usage.ts';
import { type RowKind, rowsText } from '../format/rows.ts';
import { ellipsis } from '../format/text.ts';
import { humanSize } from '../format/units.ts';
import { type ImageRow, imageKind, imageRows } from '../image/ls.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';
import { VOLUMES } from '../volume/ls.ts';

export interface DfOptions {
  format?: string;
  verbose: boolean;
}

export const df = defineVerb<DfOptions>({
  usage: '[OPTIONS]',
  summary: 'Show what takes space on the disk',
  args: { min: 0, max: 0 },
  flags(command) {
    rowFormatFlag(command);
    boolFlag(command, '-v, --verbose', 'Show each object');
  },
  run: ({ client, io }, _, options) => runDf(client, io, options),
});

const SUMMARY = 'table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}';
const IMAGES =
  'table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.Size}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.Containers}}';
const CONTAINERS =
  'table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}';
const VOLUME_TABLE = 'table {{.Name}}\\t{{.Links}}\\t{{.Size}}';
const CACHE =
  'table {{.ID}}\\t{{.CacheType}}\\t{{.Size}}\\t{{.CreatedSince}}\\t{{.LastUsedSince}}\\t{{.UsageCount}}\\t{{.Shared}}';

export async function runDf(client: Client, io: Io, options: DfOptions): Promise<number> {
  const usage = await client.json<DiskUsage>('GET', '/system/df');
  if (!options.verbose) {
    io.stdout.write(rowsText(USAGE, usageRows(usage), options.format, SUMMARY));
    return 0;
  }
  if (options.format === 'json') printLine(io, verboseJson(usage, io.now()));
  else if (!options.format || options.format === 'table') io.stdout.write(verboseText(usage, io.now()));
  else throw new CliError('the verbose form has no templates: use --format json');
  return 0;
}

function verboseText(usage: DiskUsage, nowMs: number): string {
  return [
    'Images space usage:\n',
    rowsText(imageKind(nowMs, true), verboseImages(usage), undefined, IMAGES),
    'Containers space usage:\n',
    rowsText(containerRows(nowMs, true), verboseContainers(usage), undefined, CONTAINERS),
    'Local Volumes space usage:\n',
    rowsText(VOLUMES, usage.Volumes ?? [], undefined, VOLUME_TABLE),
    `Build cache usage: ${humanSize(cacheBytes(usage))}\n`,
    rowsText(cacheRows(nowMs, true), usage.BuildCache ?? [], undefined, CACHE),
  ].join('\n');
}

function verboseJson(usage: DiskUsage, nowMs: number): string {
  const list = <Row>(kind: RowKind<Row>, rows: readonly Row[]): string =>
    `[${rowsText(kind, rows, 'json', '').trim().replaceAll('\n', ',')}]`;
  const parts: [string, string][] = [
    ['Images', list(imageKind(nowMs, false), verboseImages(usage))],
    ['Containers', list(containerRows(nowMs, false), verboseContainers(usage))],
    ['Volumes', list(VOLUMES, usage.Volumes ?? [])],
    ['BuildCache', list(cacheRows(nowMs, false), usage.BuildCache ?? [])],
  ];
  return `{${parts.map(([name, text]) => `"${name}":${text}`).join(',')}}`;
}

function verboseImages(usage: DiskUsage): ImageRow[] {
  return (usage.Images ?? [])
    .flatMap((image) => imageRows(image, false))
    .map((row) => ({ ...row, digest: '' }));
}

/** The image's part of their size is counted with the images. */
function verboseContainers(usage: DiskUsage): ContainerSummary[] {
  return (usage.Containers ?? []).map((container) => ({ ...container, SizeRootFs: 0 }));
}

function cacheBytes(usage: DiskUsage): number {
  return (usage.BuildCache ?? []).reduce((sum, { Size, Shared }) => sum + (Shared ? 0 : Size), 0);
}

/** Fields in alphabetical order, as JSON output has them. */
export function cacheRows(nowMs: number, trunc: boolean): RowKind<BuildCacheRecord> {
  const since = (time: string | null | undefined): string =>
    time ? `${humanDuration(nowMs - Date.parse(time))} ago` : '';
  return {
    typeName: 'buildCacheContext',
    fields: {
      CacheType: { heading: 'CACHE TYPE', value: (row) => row.Type },
      CreatedAt: { heading: 'CREATED AT', value: (row) => row.CreatedAt },
      CreatedSince: { heading: 'CREATED', value: (row) => since(row.CreatedAt) },
      Description: { heading: 'DESCRIPTION', value: (row) => row.Description ?? '' },
      ID: {
        heading: 'CACHE ID',
        value: (row) => (trunc ? ellipsis(row.ID, 12) : row.ID) + (row.InUse ? '*' : ''),
      },
      InUse: { heading: 'IN USE', value: (row) => String(row.InUse) },
      LastUsedAt: { heading: 'LAST USED AT', value: (row) => row.LastUsedAt ?? '' },
      LastUsedSince: { heading: 'LAST USED', value: (row) => since(row.LastUsedAt) },
      Shared: { heading: 'SHARED', value: (row) => String(row.Shared) },
      Size: { heading: 'SIZE', value: (row) => humanSize(row.Size, 3) },
      UsageCount: { heading: 'USAGE', value: (row) => String(row.UsageCount) },
    },
  };
}
