/** What a limit comes down to: one value written to one file of the container's cgroup. */
import { InternalError } from '../../base/errors.ts';
import { type ContainerCgroup, hasCgroupFile } from './hierarchy.ts';

export interface CgroupWrite {
  directory: string;
  file: string;
  value: string;
}

export type Wanted = readonly [file: string, value: string | number | undefined];

/** Those that have a value. */
export function writes(directory: string, wanted: readonly Wanted[]): CgroupWrite[] {
  return wanted.flatMap(([file, value]) =>
    value === undefined ? [] : [{ directory, file, value: `${value}` }],
  );
}

/** The v1 directory of a controller, or the v2 directory. Throws Internal where the host has neither. */
export function place(
  cgroup: ContainerCgroup,
  v1Name: string,
  v2File: string,
): { version: 1 | 2; directory: string } {
  const v1 = cgroup.v1(v1Name);
  if (v1 !== undefined) return { version: 1, directory: v1 };
  const { v2 } = cgroup;
  if (v2 === undefined || !hasCgroupFile(v2, v2File)) {
    throw new InternalError(`this host has no cgroup controller for ${v1Name}`);
  }
  return { version: 2, directory: v2 };
}

export function isEmpty(values: object): boolean {
  return Object.values(values).every((value) => value === undefined);
}
