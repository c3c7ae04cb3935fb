/** `mydock ps`. */
import type { ContainerSummary } from '../../api/containers.ts';
import { humanDuration } from '../../base/human-duration.ts';
import type { Client } from '../../client/client.ts';
import { boolFlag, optionalBoolFlag, parsedFlag, parseInteger } from '../flags/declare.ts';
import { filterFlag, rowFormatFlag } from '../flags/list-flags.ts';
import { displayOpenPorts, displayPorts } from '../format/ports.ts';
import { formatUses, printRows, type RowKind } from '../format/rows.ts';
import { goQuote } from '../format/template/printf.ts';
import { GoNil } from '../format/template/values.ts';
import { ellipsis, labelText, shortId } from '../format/text.ts';
import { goTime, humanSize } from '../format/units.ts';
import { type Io, printError } from '../io.ts';
import { filterQuery } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface PsOptions {
  all: boolean;
  filter: string[];
  format?: string;
  last: number;
  latest: boolean;
  open?: boolean;
  quiet: boolean;
  size: boolean;
  /** False with `--no-trunc`. */
  trunc: boolean;
}

export const ps = defineVerb<PsOptions>({
  usage: '[OPTIONS]',
  summary: 'List containers',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Show stopped containers too');
    filterFlag(command);
    rowFormatFlag(command);
    parsedFlag(command, '-n, --last <int>', 'Show the last containers made, in any state', parseInteger, -1);
    boolFlag(command, '-l, --latest', 'Show the last container made');
    boolFlag(command, '--no-trunc', 'Do not shorten the output');
    optionalBoolFlag(
      command,
      '--open',
      'Show which published ports other hosts can reach (on a terminal a line behind the list says so)',
    );
    boolFlag(command, '-q, --quiet', 'Show only IDs');
    boolFlag(command, '-s, --size', 'Show sizes');
  },
  run: ({ client, io }, _, options) => runPs(client, io, options),
});

const TABLE =
  'table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}';

export async function runPs(client: Client, io: Io, options: PsOptions): Promise<number> {
  const limit = options.latest && options.last === -1 ? 1 : options.last;
  const size = options.size || formatUses(options.format, 'Size');
  const containers = await client.json<ContainerSummary[]>('GET', '/containers/json', {
    query: {
      all: options.all ? true : undefined,
      limit: limit > 0 ? limit : undefined,
      size: size ? true : undefined,
      filters: filterQuery(options.filter),
    },
  });
  printRows(io, containerRows(io.now(), options.trunc), containers, options.format, defaultFormat(options));
  const forPeople = io.stdout.isTTY === true && !options.quiet && !options.format;
  if (forPeople && options.open === undefined) noteOpenPorts(io, containers);
  return 0;
}

function defaultFormat({ quiet, size, open }: PsOptions): string {
  if (quiet) return '{{.ID}}';
  return `${TABLE}${size ? '\\t{{.Size}}' : ''}${open === true ? '\\t{{.OpenPorts}}' : ''}`;
}

const NOTED_PORTS = 8;

/** The table is Docker's, so that this stands behind it, on stderr. */
function noteOpenPorts(io: Io, containers: readonly ContainerSummary[]): void {
  const ports = containers.flatMap((row) => {
    const numbers = (row.OpenPorts ?? []).map(({ HostPort, Type }) => `${HostPort}/${Type}`);
    return [...new Set(numbers)].map((number) => `${names(row, true)} ${number}`);
  });
  if (ports.length === 0) return;
  const more = ports.length - NOTED_PORTS;
  const shown = ports.slice(0, NOTED_PORTS).join(', ');
  const strict = containers.some((row) => row.OpenPorts?.some(({ HostRules }) => HostRules));
  const limit = strict ? " as far as this host's rules allow" : '';
  printError(
    io,
    `Open to other hosts${limit}: ${shown}${more > 0 ? ` and ${more} more (mydock ps --open)` : ''}`,
  );
}

/** Fields in alphabetical order, as JSON output has them. */
export function containerRows(nowMs: number, trunc: boolean): RowKind<ContainerSummary> {
  const cut = (text: string, length: number): string => (trunc ? ellipsis(text, length) : text);
  return {
    typeName: 'ContainerContext',
    fields: {
      Command: { heading: 'COMMAND', value: (row) => goQuote(cut(row.Command, 20)) },
      CreatedAt: { heading: 'CREATED AT', value: (row) => goTime(row.Created * 1000) },
      ID: { heading: 'CONTAINER ID', value: (row) => (trunc ? shortId(row.Id) : row.Id) },
      Image: { heading: 'IMAGE', value: (row) => imageName(row, trunc) },
      Labels: { heading: 'LABELS', value: (row) => labelText(row.Labels) },
      LocalVolumes: { heading: 'LOCAL VOLUMES', value: localVolumes },
      Mounts: {
        heading: 'MOUNTS',
        value: (row) => row.Mounts.map((mount) => cut(mount.Name || mount.Source, 15)).join(','),
      },
      Names: { heading: 'NAMES', value: (row) => names(row, trunc) },
      Networks: {
        heading: 'NETWORKS',
        value: (row) => Object.keys(row.NetworkSettings?.Networks ?? {}).join(','),
      },
      OpenPorts: { heading: 'OPEN TO OTHER HOSTS', value: (row) => displayOpenPorts(row.OpenPorts ?? []) },
      Platform: { heading: 'PLATFORM', value: platform },
      Ports: { heading: 'PORTS', value: (row) => displayPorts(row.Ports) },
      RunningFor: { heading: 'CREATED', value: (row) => `${humanDuration(nowMs - row.Created * 1000)} ago` },
      Size: { heading: 'SIZE', value: size },
      State: { heading: 'STATE', value: (row) => row.State },
      Status: { heading: 'STATUS', value: (row) => row.Status },
    },
    methods: { Label: (row, key) => row.Labels?.[key] ?? '' },
  };
}

/** Names that other containers gave it by links have a second slash and are left out of the short form. */
function names(row: ContainerSummary, trunc: boolean): string {
  const bare = row.Names.map((name) => name.replace(/^\//, ''));
  return (trunc ? bare.filter((name) => !name.includes('/')) : bare).join(',');
}

/** An image without a name shows its short ID; a digest behind a name is left out. */
function imageName(row: ContainerSummary, trunc: boolean): string {
  if (row.Image === '') return '<no image>';
  if (!trunc) return row.Image;
  const hex = row.Image.replace(/^sha256:/, '');
  if (/^[\da-f]{12,64}$/.test(hex) && row.ImageID.includes(hex)) return shortId(row.Image);
  return row.Image.replace(/@.*$/, '');
}

function localVolumes(row: ContainerSummary): string {
  return String(row.Mounts.filter((mount) => mount.Driver === 'local').length);
}

function platform(row: ContainerSummary) {
  const described = row.ImageManifestDescriptor?.platform;
  if (described === undefined) return new GoNil('pointer');
  return [described.os, described.architecture, described.variant].filter(Boolean).join('/');
}

function size(row: ContainerSummary): string {
  const written = humanSize(row.SizeRw ?? 0, 3);
  return row.SizeRootFs ? `${written} (virtual ${humanSize(row.SizeRootFs, 3)})` : written;
}
