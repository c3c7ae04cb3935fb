/**
 * Which IDs of the host stand for a container's: the mappings of user namespaces (user_namespaces(7)), the ranges that
 * subuid(5) and subgid(5) give to users, and the words of `--userns`. Texts in, values out; nothing is read here.
 */
import { InvalidParameterError } from '../base/errors.ts';
import type { IdMapping } from './runtime-spec.ts';

/** Both kinds, `containerID` ascending from 0 without gaps. */
export interface UserMapping {
  uids: IdMapping[];
  gids: IdMapping[];
}

/** IDs from `first` on. */
export interface IdRange {
  first: number;
  size: number;
}

/** One past the last ID; 4294967295 is no ID. */
export const ID_END = 4_294_967_295;
/** What a container has where nothing else is said: all IDs that images use. */
export const DEFAULT_RANGE_SIZE = 65_536;
/** More than these the kernel does not take (UID_GID_MAP_MAX_EXTENTS). */
const MAPPINGS_MAX = 340;

export type UsernsMode =
  | { kind: 'default' }
  | { kind: 'host' }
  | { kind: 'auto'; size: number }
  | { kind: 'container'; name: string };

/** `HostConfig.UsernsMode`: empty, `host`, `auto`, `auto:size=N`, `container:NAME`. Throws InvalidParameter. */
export function parseUsernsMode(text: string): UsernsMode {
  if (text === '') return { kind: 'default' };
  if (text === 'host') return { kind: 'host' };
  const name = /^container:(.+)$/.exec(text)?.[1];
  if (name !== undefined) return { kind: 'container', name };
  const [word, options] = text.split(/:(.*)/s);
  if (word !== 'auto') {
    throw new InvalidParameterError(
      `invalid user namespace mode "${text}": it must be host, auto[:size=N] or container:NAME`,
    );
  }
  if (options === undefined) return { kind: 'auto', size: DEFAULT_RANGE_SIZE };
  const size = Number(/^size=([1-9]\d{0,9})$/.exec(options)?.[1]);
  if (Number.isNaN(size) || size > ID_END) {
    throw new InvalidParameterError(
      `invalid user namespace mode "${text}": after auto: only size=N, a number of IDs, may follow`,
    );
  }
  return { kind: 'auto', size };
}

/** A line of subuid(5): a user, by name or number, and a range that is theirs. */
export interface SubordinateRange extends IdRange {
  owner: string;
}

/** Comments and blank lines are passed over. Throws InvalidParameter for a line that is none, naming `file` and it. */
export function parseSubordinateRanges(text: string, file: string): SubordinateRange[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const match = /^([^:]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    const [owner = '', first = 0, size = 0] =
      match === null ? [] : [match[1], Number(match[2]), Number(match[3])];
    if (match === null || size === 0 || first + size > ID_END) {
      throw new InvalidParameterError(
        `${file}, line ${index + 1}: "${line.trim()}" is no range of IDs (USER:FIRST:COUNT)`,
      );
    }
    return [{ owner, first, size }];
  });
}

/**
 * What a user has, ascending: lines of their name and of their number. Throws InvalidParameter for ranges that overlap
 * or hold the host's root.
 */
export function rangesOf(
  ranges: readonly SubordinateRange[],
  owners: readonly string[],
  file: string,
): IdRange[] {
  const found = ranges
    .filter(({ owner }) => owners.includes(owner))
    .map(({ first, size }) => ({ first, size }))
    .sort((a, b) => a.first - b.first);
  const [lowest] = found;
  if (lowest?.first === 0) {
    throw new InvalidParameterError(`${file}: the range of "${owners[0]}" from 0 on holds root of the host`);
  }
  found.forEach((range, index) => {
    const next = found[index + 1];
    if (next === undefined || range.first + range.size <= next.first) return;
    throw new InvalidParameterError(`${file}: ranges of "${owners[0]}" overlap at ${next.first}`);
  });
  return found;
}

/** The container's IDs from 0 on stand for the ranges, one behind the other. */
export function mappingOf(ranges: readonly IdRange[], file: string): IdMapping[] {
  if (ranges.length > MAPPINGS_MAX) {
    throw new InvalidParameterError(`${file}: ${ranges.length} ranges are more than the kernel takes`);
  }
  let containerID = 0;
  return ranges.map(({ first, size }) => {
    const mapping = { containerID, hostID: first, size };
    containerID += size;
    return mapping;
  });
}

/** As the kernel wants them in `/proc/PID/uid_map`. */
export function mapText(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
}

export function sameMapping(a: UserMapping, b: UserMapping): boolean {
  return mapText(a.uids) === mapText(b.uids) && mapText(a.gids) === mapText(b.gids);
}

/** The host's ID of a container's; undefined where no range has it. */
export function toHost(mappings: readonly IdMapping[], id: number): number | undefined {
  const range = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return range === undefined ? undefined : range.hostID + id - range.containerID;
}

/** A container's ID of the host's; undefined where no range has it. */
export function toContainer(mappings: readonly IdMapping[], id: number): number | undefined {
  const range = mappings.find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return range === undefined ? undefined : range.containerID + id - range.hostID;
}

/** Root of a mapping, as the host numbers it. */
export function rootOf({ uids, gids }: UserMapping): { uid: number; gid: number } {
  return { uid: toHost(uids, 0) ?? 0, gid: toHost(gids, 0) ?? 0 };
}

/** The first `size` IDs in `pool` that no range of `taken` has; undefined where there is no such gap. */
export function freeRange(
  pool: readonly IdRange[],
  taken: readonly IdRange[],
  size: number,
): IdRange | undefined {
  const ascending = [...taken].sort((a, b) => a.first - b.first);
  for (const { first, size: length } of pool) {
    let start = first;
    for (const range of ascending) {
      if (range.first + range.size <= start) continue;
      if (range.first >= start + size) break;
      start = range.first + range.size;
    }
    if (start + size <= first + length) return { first: start, size };
  }
  return undefined;
}
