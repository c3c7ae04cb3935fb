/** `mydock volume snapshot create|ls|restore|rm`: what a volume held at some time, kept beside it. */
import type { VolumeSnapshot } from '../../api/volumes.ts';
import { type Client, pathSegment } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { forEachName } from '../container/each.ts';
import { boolFlag } from '../flags/declare.ts';
import { rowFormatFlag } from '../flags/list-flags.ts';
import { printRows, type RowKind } from '../format/rows.ts';
import { type Io, printLine } from '../io.ts';
import { defineVerb } from '../verb.ts';

export interface VolumeSnapshotOptions {
  force: boolean;
  format?: string;
  quiet: boolean;
}

const USAGE = `"mydock volume snapshot" needs one of:
  create VOLUME [SNAPSHOT]        Keep what the volume holds now; prints the snapshot's name
  ls VOLUME                       List the volume's snapshots (--format, -q)
  restore VOLUME SNAPSHOT         Make the volume what it was (-f: also under running containers)
  rm VOLUME SNAPSHOT [SNAPSHOT…]  Remove snapshots`;

export const snapshot = defineVerb<VolumeSnapshotOptions>({
  usage: 'create|ls|restore|rm [OPTIONS] VOLUME [SNAPSHOT...]',
  summary: 'Manage snapshots of a volume',
  args: { min: 0 },
  flags(command) {
    boolFlag(command, '-f, --force', 'restore: exchange files under running containers, one by one');
    rowFormatFlag(command);
    boolFlag(command, '-q, --quiet', 'ls: show only names');
  },
  run: ({ client, io }, [verb = '', ...names], options) =>
    runVolumeSnapshot(client, io, { verb, names }, options),
});

export async function runVolumeSnapshot(
  client: Client,
  io: Io,
  { verb, names }: { verb: string; names: readonly string[] },
  options: VolumeSnapshotOptions,
): Promise<number> {
  const [volume = '', name = '', ...more] = names;
  const path = `/volumes/${pathSegment(volume)}/snapshots`;
  if (volume !== '' && verb === 'create' && more.length === 0) {
    const made = await client.json<VolumeSnapshot>('POST', path, { json: name === '' ? {} : { Name: name } });
    printLine(io, made.Name);
    return 0;
  }
  if (volume !== '' && (verb === 'ls' || verb === 'list') && name === '') {
    const rows = await client.json<VolumeSnapshot[]>('GET', path);
    const byDefault = options.quiet ? '{{.Name}}' : 'table {{.Name}}\\t{{.CreatedAt}}';
    printRows(io, SNAPSHOTS, rows, options.format, byDefault);
    return 0;
  }
  if (name !== '' && verb === 'restore' && more.length === 0) {
    await client.json('POST', `${path}/${pathSegment(name)}/restore`, {
      query: { force: options.force ? true : undefined },
    });
    printLine(io, name);
    return 0;
  }
  if (name !== '' && (verb === 'rm' || verb === 'remove')) {
    return await forEachName(io, [name, ...more], async (one) => {
      await client.json('DELETE', `${path}/${pathSegment(one)}`);
      return one;
    });
  }
  throw new CliError(USAGE);
}

const SNAPSHOTS: RowKind<VolumeSnapshot> = {
  typeName: 'snapshotContext',
  fields: {
    CreatedAt: { heading: 'CREATED', value: (row) => row.CreatedAt },
    Name: { heading: 'SNAPSHOT', value: (row) => row.Name },
    Volume: { heading: 'VOLUME', value: (row) => row.Volume },
  },
};
