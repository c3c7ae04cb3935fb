/** Block I/O of a container: blkio's files on v1 (BFQ's where that is the scheduler, else the throttle's), io.stat on v2. */
import type { BlkioStatEntry, BlkioStats } from '../../api/stats.ts';
import { type ContainerCgroup, readCgroupFile } from './hierarchy.ts';

function allFields(value: BlkioStatEntry[] | null): BlkioStats {
  return {
    io_service_bytes_recursive: value,
    io_serviced_recursive: value,
    io_queue_recursive: value,
    io_service_time_recursive: value,
    io_wait_time_recursive: value,
    io_merged_recursive: value,
    io_time_recursive: value,
    sectors_recursive: value,
  };
}

export const NO_BLKIO_STATS: BlkioStats = allFields(null);

export function blockUsage(cgroup: ContainerCgroup): BlkioStats {
  const v1 = cgroup.v1('blkio');
  if (v1 !== undefined) {
    return {
      ...allFields([]),
      io_service_bytes_recursive: readV1(v1, 'io_service_bytes_recursive'),
      io_serviced_recursive: readV1(v1, 'io_serviced_recursive'),
    };
  }
  const stat = cgroup.v2 === undefined ? undefined : readCgroupFile(cgroup.v2, 'io.stat');
  return stat === undefined ? NO_BLKIO_STATS : parseIoStat(stat);
}

function readV1(directory: string, name: string): BlkioStatEntry[] {
  for (const prefix of ['blkio.bfq', 'blkio.throttle']) {
    const entries = parseBlkio(readCgroupFile(directory, `${prefix}.${name}`) ?? '');
    if (entries.length > 0) return entries;
  }
  return [];
}

/** `8:0 Read 4096` lines; the total over all devices at the end is left out. */
export function parseBlkio(text: string): BlkioStatEntry[] {
  return text.split('\n').flatMap((line): BlkioStatEntry[] => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (match === null) return [];
    const [, major, minor, op = '', value] = match;
    return [{ major: Number(major), minor: Number(minor), op, value: Number(value) }];
  });
}

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` lines. Docker's clients look for `read` and `write`. */
export function parseIoStat(text: string): BlkioStats {
  const bytes: BlkioStatEntry[] = [];
  const operations: BlkioStatEntry[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (match === null) continue;
    const device = { major: Number(match[1]), minor: Number(match[2]) };
    const values = new Map((match[3] ?? '').split(' ').map((pair) => pair.split('=', 2) as [string, string]));
    const entry = (op: string, key: string) => ({ ...device, op, value: Number(values.get(key) ?? 0) });
    bytes.push(entry('read', 'rbytes'), entry('write', 'wbytes'));
    operations.push(entry('read', 'rios'), entry('write', 'wios'));
  }
  return {
    ...NO_BLKIO_STATS,
    io_service_bytes_recursive: bytes,
    io_serviced_recursive: operations,
  };
}
