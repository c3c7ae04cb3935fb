/** The rows of `system df`: how much of each kind of object there is, and how much of it could go. */
import type { DiskUsage } from '../../api/system.ts';
import type { RowKind } from './rows.ts';
import { humanSize } from './units.ts';

export interface UsageRow {
  readonly type: string;
  readonly total: number;
  readonly active: number;
  readonly bytes: number;
  readonly reclaimableBytes: number;
  /** Show which part of the size could go. */
  readonly percent: boolean;
}

/** Fields in alphabetical order, as JSON output has them. */
export const USAGE: RowKind<UsageRow> = {
  typeName: 'diskUsageImagesContext',
  templateFailure: 'template parsing error',
  fields: {
    Active: { heading: 'ACTIVE', value: (row) => String(row.active) },
    Reclaimable: { heading: 'RECLAIMABLE', value: reclaimable },
    Size: { heading: 'SIZE', value: (row) => humanSize(row.bytes) },
    TotalCount: { heading: 'TOTAL', value: (row) => String(row.total) },
    Type: { heading: 'TYPE', value: (row) => row.type },
  },
};

function reclaimable({ bytes, reclaimableBytes, percent }: UsageRow): string {
  const text = humanSize(reclaimableBytes);
  return percent && bytes > 0 ? `${text} (${Math.trunc((reclaimableBytes * 100) / bytes)}%)` : text;
}

export function usageRows(usage: DiskUsage): UsageRow[] {
  return [imageUsage(usage), containerUsage(usage), volumeUsage(usage), cacheUsage(usage)];
}

/** What no container uses: all layers without those that an image in use has for itself. */
function imageUsage(usage: DiskUsage): UsageRow {
  const images = usage.Images ?? [];
  const used = images.filter((image) => image.Containers > 0);
  const own = used
    .filter((image) => image.Size >= 0 && image.SharedSize >= 0)
    .reduce((sum, image) => sum + image.Size - image.SharedSize, 0);
  return {
    type: 'Images',
    total: images.length,
    active: used.length,
    bytes: usage.LayersSize,
    reclaimableBytes: usage.LayersSize - own,
    percent: true,
  };
}

function containerUsage(usage: DiskUsage): UsageRow {
  const containers = usage.Containers ?? [];
  const isActive = (state: string): boolean => ['running', 'paused', 'restarting'].includes(state);
  const sum = (list: typeof containers): number =>
    list.reduce((total, { SizeRw }) => total + (SizeRw ?? 0), 0);
  return {
    type: 'Containers',
    total: containers.length,
    active: containers.filter(({ State }) => isActive(State)).length,
    bytes: sum(containers),
    reclaimableBytes: sum(containers.filter(({ State }) => !isActive(State))),
    percent: true,
  };
}

function volumeUsage(usage: DiskUsage): UsageRow {
  const data = (usage.Volumes ?? []).flatMap(({ UsageData }) => (UsageData ? [UsageData] : []));
  const sum = (list: typeof data): number => list.reduce((total, { Size }) => total + Math.max(Size, 0), 0);
  return {
    type: 'Local Volumes',
    total: (usage.Volumes ?? []).length,
    active: data.filter(({ RefCount }) => RefCount > 0).length,
    bytes: sum(data),
    reclaimableBytes: sum(data.filter(({ RefCount }) => RefCount === 0)),
    percent: true,
  };
}

function cacheUsage(usage: DiskUsage): UsageRow {
  const records = usage.BuildCache ?? [];
  const sum = (list: typeof records): number => list.reduce((total, { Size }) => total + Size, 0);
  return {
    type: 'Build Cache',
    total: records.length,
    active: records.filter(({ InUse }) => InUse).length,
    bytes: sum(records.filter(({ Shared }) => !Shared)),
    reclaimableBytes: sum(records.filter(({ InUse, Shared }) => !InUse && !Shared)),
    percent: false,
  };
}
