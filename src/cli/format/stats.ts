/** The columns of `stats`, worked out from the daemon's figures as Docker's client does. */
import type { ContainerStats } from '../../api/stats.ts';
import type { RowKind } from './rows.ts';
import { shortId } from './text.ts';
import { binarySize, humanSize } from './units.ts';

/** One container; without figures its cells show dashes. */
export interface StatsRow {
  /** As the user named it, else its short ID. */
  readonly container: string;
  stats: ContainerStats | undefined;
}

/** Fields in alphabetical order, as JSON output has them. */
export function statsKind(trunc: boolean): RowKind<StatsRow> {
  const figure =
    (text: (stats: ContainerStats) => string, none = '--') =>
    ({ stats }: StatsRow): string =>
      stats === undefined ? none : text(stats);
  const pair = (a: string, b: string): string => `${a} / ${b}`;
  return {
    typeName: 'statsContext',
    package: 'container',
    templateFailure: 'template parsing error',
    fields: {
      BlockIO: {
        heading: 'BLOCK I/O',
        value: figure((stats) => pair(...blockBytes(stats))),
      },
      CPUPerc: { heading: 'CPU %', value: figure((stats) => `${cpuPercent(stats).toFixed(2)}%`) },
      Container: { heading: 'CONTAINER', value: (row) => row.container },
      ID: { heading: 'CONTAINER ID', value: figure((stats) => (trunc ? shortId(stats.id) : stats.id)) },
      MemPerc: { heading: 'MEM %', value: figure((stats) => `${memoryPercent(stats).toFixed(2)}%`) },
      MemUsage: {
        heading: 'MEM USAGE / LIMIT',
        value: figure(
          (stats) => pair(binarySize(memoryUsed(stats)), binarySize(stats.memory_stats.limit ?? 0)),
          '-- / --',
        ),
      },
      Name: { heading: 'NAME', value: figure((stats) => stats.name.replace(/^\//, '')) },
      NetIO: { heading: 'NET I/O', value: figure((stats) => pair(...networkBytes(stats))) },
      PIDs: { heading: 'PIDS', value: figure((stats) => String(stats.pids_stats.current ?? 0)) },
    },
  };
}

/** Of one CPU: two busy ones are 200. */
export function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus || (now.cpu_usage.percpu_usage?.length ?? 0);
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/** Without the page cache that the kernel would give up first: v1 and v2 name it differently. */
function memoryUsed({ memory_stats: { usage = 0, stats } }: ContainerStats): number {
  const inactive = stats?.['total_inactive_file'] ?? stats?.['inactive_file'] ?? 0;
  return inactive < usage ? usage - inactive : usage;
}

function memoryPercent(stats: ContainerStats): number {
  const { limit = 0 } = stats.memory_stats;
  return limit === 0 ? 0 : (memoryUsed(stats) / limit) * 100;
}

function networkBytes({ networks }: ContainerStats): [string, string] {
  const all = Object.values(networks ?? {});
  const sum = (field: 'rx_bytes' | 'tx_bytes'): number => all.reduce((total, one) => total + one[field], 0);
  return [humanSize(sum('rx_bytes'), 3), humanSize(sum('tx_bytes'), 3)];
}

function blockBytes({ blkio_stats }: ContainerStats): [string, string] {
  const sum = (letter: string): number =>
    (blkio_stats?.io_service_bytes_recursive ?? [])
      .filter(({ op }) => op.toLowerCase().startsWith(letter))
      .reduce((total, { value }) => total + value, 0);
  return [humanSize(sum('r'), 3), humanSize(sum('w'), 3)];
}
