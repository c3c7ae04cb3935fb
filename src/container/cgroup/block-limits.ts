/** Block I/O weights and throttles as files of cgroups, v1 (blkio) and v2 (io). */
import type { LinuxBlockIO, LinuxThrottleDevice } from '../../oci/runtime-spec.ts';
import { type ContainerCgroup, hasCgroupFile } from './hierarchy.ts';
import { type CgroupWrite, isEmpty, place, type Wanted, writes } from './limit-files.ts';

export function blockWrites(cgroup: ContainerCgroup, block: LinuxBlockIO): CgroupWrite[] {
  if (isEmpty(block)) return [];
  const { version, directory } = place(cgroup, 'blkio', 'io.max');
  return version === 1 ? blockWritesV1(directory, block) : blockWritesV2(directory, block);
}

/** Weights are the I/O scheduler's: since CFQ went they are BFQ's, and its files carry its name. */
function blockWritesV1(directory: string, block: LinuxBlockIO): CgroupWrite[] {
  const weight = hasCgroupFile(directory, 'blkio.weight') ? 'blkio.weight' : 'blkio.bfq.weight';
  const rates = (file: string, devices: readonly LinuxThrottleDevice[] | undefined): Wanted[] =>
    (devices ?? []).map(({ major, minor, rate }) => [file, `${major}:${minor} ${rate}`]);
  return writes(directory, [
    [weight, block.weight],
    ...deviceWeights(`${weight}_device`, block),
    ...rates('blkio.throttle.read_bps_device', block.throttleReadBpsDevice),
    ...rates('blkio.throttle.write_bps_device', block.throttleWriteBpsDevice),
    ...rates('blkio.throttle.read_iops_device', block.throttleReadIOPSDevice),
    ...rates('blkio.throttle.write_iops_device', block.throttleWriteIOPSDevice),
  ]);
}

/** BFQ's weight takes Docker's range as it is; io.weight, of the iocost controller, wants [1, 10000]. */
function blockWritesV2(directory: string, block: LinuxBlockIO): CgroupWrite[] {
  const bfq = hasCgroupFile(directory, 'io.bfq.weight');
  const { weight } = block;
  const wide = weight === undefined ? undefined : 1 + Math.floor(((weight - 10) * 9999) / 990);
  const rates = (key: string, devices: readonly LinuxThrottleDevice[] | undefined): Wanted[] =>
    (devices ?? []).map(({ major, minor, rate }) => [
      'io.max',
      `${major}:${minor} ${key}=${rate > 0 ? rate : 'max'}`,
    ]);
  return writes(directory, [
    [bfq ? 'io.bfq.weight' : 'io.weight', bfq ? weight : wide],
    ...deviceWeights('io.bfq.weight', block),
    ...rates('rbps', block.throttleReadBpsDevice),
    ...rates('wbps', block.throttleWriteBpsDevice),
    ...rates('riops', block.throttleReadIOPSDevice),
    ...rates('wiops', block.throttleWriteIOPSDevice),
  ]);
}

function deviceWeights(file: string, { weightDevice }: LinuxBlockIO): Wanted[] {
  return (weightDevice ?? []).map(({ major, minor, weight = 0 }) => [file, `${major}:${minor} ${weight}`]);
}
