/** `mydock system prune`: removes everything that nothing uses. */
import type { ImageDeleteResponseItem } from '../../api/images.ts';
import type { Client } from '../../client/client.ts';
import { ApiError } from '../../client/client-error.ts';
import { CliError } from '../cli-error.ts';
import { deletedList } from '../container/prune.ts';
import { boolFlag, parsedListFlag } from '../flags/declare.ts';
import { humanSize } from '../format/units.ts';
import { prunedImages } from '../image/prune.ts';
import { type Io, printError, printLine } from '../io.ts';
import { confirm } from '../options/confirm.ts';
import { filterQuery, parseFilter } from '../options/filter.ts';
import { defineVerb } from '../verb.ts';

export interface SystemPruneOptions {
  all: boolean;
  filter: string[];
  force: boolean;
  volumes: boolean;
}

export const prune = defineVerb<SystemPruneOptions>({
  usage: '[OPTIONS]',
  summary: 'Remove containers, networks, images and build cache that nothing uses',
  args: { min: 0, max: 0 },
  flags(command) {
    boolFlag(command, '-a, --all', 'Remove all unused images, not only those without a name');
    parsedListFlag(command, '--filter <filter>', 'Remove only what matches (label=…)', parseFilter);
    boolFlag(command, '-f, --force', 'Do not ask');
    boolFlag(command, '--volumes', 'Remove anonymous volumes too');
  },
  run: ({ client, io }, _, options) => runSystemPrune(client, io, options),
});

/** What a prune call of any kind may answer. */
interface PruneAnswer {
  readonly ContainersDeleted?: string[] | null;
  readonly NetworksDeleted?: string[] | null;
  readonly VolumesDeleted?: string[] | null;
  readonly ImagesDeleted?: ImageDeleteResponseItem[] | null;
  readonly CachesDeleted?: string[] | null;
  readonly SpaceReclaimed?: number;
}

interface PruneStep {
  /** As the warning names it. */
  readonly what: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string | boolean | undefined>>;
  report(answer: PruneAnswer): string;
}

/** A kind that the daemon cannot prune is named on stderr, and the others are pruned all the same. */
export async function runSystemPrune(client: Client, io: Io, options: SystemPruneOptions): Promise<number> {
  if (options.volumes && options.filter.some((filter) => filter.startsWith('until='))) {
    throw new CliError('ERROR: The "until" filter is not supported with "--volumes"');
  }
  const steps = pruneSteps(options);
  if (!options.force && !(await confirm(io, warningText(steps, options.filter)))) return 0;
  let reclaimed = 0;
  for (const step of steps) {
    const answer = await pruneOrTell(client, io, step);
    io.stdout.write(step.report(answer));
    reclaimed += answer.SpaceReclaimed ?? 0;
  }
  printLine(io, `Total reclaimed space: ${humanSize(reclaimed)}`);
  return 0;
}

async function pruneOrTell(client: Client, io: Io, step: PruneStep): Promise<PruneAnswer> {
  try {
    return await client.json<PruneAnswer>('POST', step.path, { query: step.query });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 501) throw error;
    printError(io, `WARNING: not removed: ${step.what}: the daemon cannot do that yet`);
    return {};
  }
}

function pruneSteps({ all, filter, volumes }: SystemPruneOptions): PruneStep[] {
  const filters = filterQuery(filter);
  const volumeStep: PruneStep = {
    what: 'all anonymous volumes not used by at least one container',
    path: '/volumes/prune',
    query: { filters },
    report: (answer) => deletedList('Deleted Volumes:', answer.VolumesDeleted),
  };
  return [
    {
      what: 'all stopped containers',
      path: '/containers/prune',
      query: { filters },
      report: (answer) => deletedList('Deleted Containers:', answer.ContainersDeleted),
    },
    {
      what: 'all networks not used by at least one container',
      path: '/networks/prune',
      query: { filters },
      report: (answer) => deletedList('Deleted Networks:', answer.NetworksDeleted),
    },
    ...(volumes ? [volumeStep] : []),
    {
      what: all ? 'all images without at least one container associated to them' : 'all dangling images',
      path: '/images/prune',
      query: { filters: filterQuery([...filter, `dangling=${!all}`]) },
      report: (answer) => prunedImages(answer.ImagesDeleted),
    },
    {
      what: all ? 'all build cache' : 'unused build cache',
      path: '/build/prune',
      query: { all: all ? true : undefined, filters },
      report: (answer) => deletedList('Deleted build cache objects:', answer.CachesDeleted),
    },
  ];
}

function warningText(steps: readonly PruneStep[], filter: readonly string[]): string {
  const items = steps.map(({ what }) => `  - ${what}`);
  const filtered =
    filter.length === 0
      ? []
      : ['', '  Items to be pruned will be filtered with:', ...filter.map((text) => `  - ${text}`)];
  return ['WARNING! This will remove:', ...items, ...filtered, ''].join('\n');
}
