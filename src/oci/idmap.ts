/**
 * Idmapped mounts: which owner the files of a bind mount or volume have inside the container. The words are
 * `uids=FROM-TO-LENGTH#…;gids=…`, as podman and crun have them, where FROM is the ID on the file system and TO the one
 * that the container sees; IDs that no range has belong to nobody there, and cannot be given to files. A kind that is
 * not named stays as it is. `owner` maps the owner of the source to the container's user, and leaves all others alone.
 *
 * A mapping shifts IDs and gives no rights of its own: what a process may do to a file it may do because of the ID
 * that the file has there. `owner` never lets files of root pass for files of somebody else.
 */
import { statSync } from 'node:fs';
import { InvalidParameterError } from '../base/errors.ts';
import type { IdMapping } from './runtime-spec.ts';
import { toHost, type UserMapping } from './user-mappings.ts';

export const OWNER = 'owner';

/** One past the last ID; 4294967295 is no ID. */
const ID_END = 4_294_967_295;
/** /proc/PID/uid_map takes less than a page, which these always fit into. */
const RANGES_MAX = 100;
const ALL: readonly IdMapping[] = [{ containerID: 0, hostID: 0, size: ID_END }];

export interface MountIdMap {
  uidMappings: IdMapping[];
  gidMappings: IdMapping[];
}

export interface Owner {
  uid: number;
  gid: number;
}

/** Throws InvalidParameter for what is neither `owner` nor ranges, and for ranges that overlap. */
export function checkIdMap(text: string): void {
  if (text !== OWNER) parseRanges(text);
}

/** Where the container stands: its user namespace, and whether the mount's owners are IDs of the container already. */
export interface MountSide {
  /** Undefined for the host's. */
  userNamespace: UserMapping | undefined;
  /** A volume: what is not mapped by name has the owner in the container that it has on the file system. */
  ownersInside: boolean;
}

const ON_THE_HOST: MountSide = { userNamespace: undefined, ownersInside: false };

/**
 * The mappings of a mount whose source is the path `source`, for a container that runs as what `user` finds; undefined where they
 * would change nothing. `owner` looks at the source now, and throws InvalidParameter where that belongs to root and the
 * user is somebody else, which root of a user namespace is. In a user namespace, TO is an ID of that; throws
 * InvalidParameter for one that it does not have.
 */
export function resolveIdMap(
  text: string,
  source: string,
  user: () => Owner,
  side: MountSide = ON_THE_HOST,
): MountIdMap | undefined {
  const map = text === OWNER ? ownerMap(source, user(), side) : namedMap(text, side);
  return changesNothing(map.uidMappings) && changesNothing(map.gidMappings) ? undefined : map;
}

function changesNothing([first, ...more]: readonly IdMapping[]): boolean {
  return first !== undefined && more.length === 0 && first.size === ID_END && first.hostID === 0;
}

function ownerMap(source: string, user: Owner, { userNamespace, ownersInside }: MountSide): MountIdMap {
  const { uid, gid } = statSync(source);
  const isRoot = user.uid === 0 && (userNamespace === undefined || ownersInside);
  if (uid === 0 && !isRoot) {
    throw new InvalidParameterError(
      `idmap=owner: ${source} belongs to root, whose files are not given to the container's user ${user.uid}; name the IDs: idmap=uids=FROM-TO-LENGTH;gids=FROM-TO-LENGTH`,
    );
  }
  const one = (from: number, to: number, mappings: readonly IdMapping[] | undefined): IdMapping[] => {
    if (mappings === undefined) return oneMoved(from, to);
    if (ownersInside) return seenFrom(oneMoved(from, to), mappings);
    const outside = toHost(mappings, to);
    if (outside === undefined) throw new InvalidParameterError(`idmap=owner: the container has no ID ${to}`);
    return oneMoved(from, outside);
  };
  const keepsGroup = gid === 0 && (userNamespace === undefined || ownersInside);
  return {
    uidMappings: one(uid, user.uid, userNamespace?.uids),
    gidMappings:
      gid === 0 && !keepsGroup ? [...ALL] : one(gid, gid === 0 ? 0 : user.gid, userNamespace?.gids),
  };
}

/** What no range names stays as it is: in a user namespace, files of the host are nobody's, and volumes' the container's. */
function namedMap(text: string, { userNamespace, ownersInside }: MountSide): MountIdMap {
  const named = parseRanges(text);
  if (userNamespace === undefined) {
    return { uidMappings: named.uids ?? [...ALL], gidMappings: named.gids ?? [...ALL] };
  }
  const one = (kind: 'uids' | 'gids'): IdMapping[] => {
    const ranges = named[kind];
    if (ranges === undefined) return ownersInside ? userNamespace[kind] : [...ALL];
    const composed = seenFrom(ranges, userNamespace[kind]);
    if (count(composed) === count(ranges)) return composed;
    throw wrong(text, `the container's user namespace does not have all of those ${kind}`);
  };
  return { uidMappings: one('uids'), gidMappings: one('gids') };
}

/** Ranges that lead to IDs of a container, leading to those of the host; what the container does not have is left out. */
function seenFrom(ranges: readonly IdMapping[], mappings: readonly IdMapping[]): IdMapping[] {
  return ranges.flatMap((range) =>
    mappings.flatMap(({ containerID, hostID, size }) => {
      const start = Math.max(range.hostID, containerID);
      const end = Math.min(range.hostID + range.size, containerID + size);
      if (start >= end) return [];
      return [
        {
          containerID: range.containerID + start - range.hostID,
          hostID: hostID + start - containerID,
          size: end - start,
        },
      ];
    }),
  );
}

function count(mappings: readonly IdMapping[]): number {
  return mappings.reduce((sum, { size }) => sum + size, 0);
}

/** `from` becomes `to`; all others stay, except the two themselves, which have no other place. */
function oneMoved(from: number, to: number): IdMapping[] {
  if (from === to) return [...ALL];
  const [low, high] = from < to ? [from, to] : [to, from];
  const kept = [
    [0, low],
    [low + 1, high],
    [high + 1, ID_END],
  ] as const;
  return [
    { containerID: from, hostID: to, size: 1 },
    ...kept.flatMap(([start, end]) =>
      start < end ? [{ containerID: start, hostID: start, size: end - start }] : [],
    ),
  ];
}

function parseRanges(text: string): Partial<Record<'uids' | 'gids', IdMapping[]>> {
  const found: Partial<Record<'uids' | 'gids', IdMapping[]>> = {};
  for (const part of text.split(';')) {
    const [kind = '', ranges = ''] = part.split(/=(.*)/s);
    if (kind !== 'uids' && kind !== 'gids') {
      throw wrong(text, 'it must be "owner", or "uids=FROM-TO-LENGTH#…;gids=FROM-TO-LENGTH#…"');
    }
    if (found[kind] !== undefined) throw wrong(text, `${kind} stands twice`);
    found[kind] = readRanges(text, kind, ranges);
  }
  return found;
}

function readRanges(text: string, kind: string, ranges: string): IdMapping[] {
  const mappings = ranges.split('#').map((range) => {
    // `@`: relative to the container's user namespace, as TO always is.
    const match = /^@?(\d{1,10})-@?(\d{1,10})-(\d{1,10})$/.exec(range);
    if (match === null) throw wrong(text, `${kind} must be FROM-TO-LENGTH#…, not "${range}"`);
    const [containerID = 0, hostID = 0, size = 0] = match.slice(1).map(Number);
    if (size === 0 || containerID + size > ID_END || hostID + size > ID_END) {
      throw wrong(text, `${kind} ${range} is out of range`);
    }
    return { containerID, hostID, size };
  });
  if (mappings.length > RANGES_MAX) {
    throw wrong(text, `${mappings.length} ranges of ${kind} are more than ${RANGES_MAX}`);
  }
  for (const side of ['containerID', 'hostID'] as const) refuseOverlap(text, kind, mappings, side);
  return mappings;
}

function refuseOverlap(
  text: string,
  kind: string,
  mappings: readonly IdMapping[],
  side: 'containerID' | 'hostID',
): void {
  const sorted = [...mappings].sort((a, b) => a[side] - b[side]);
  sorted.forEach((mapping, index) => {
    const next = sorted[index + 1];
    if (next === undefined || mapping[side] + mapping.size <= next[side]) return;
    const which = side === 'containerID' ? 'mapped twice' : 'the target of two ranges';
    throw wrong(text, `${kind}: ${next[side]} is ${which}`);
  });
}

function wrong(text: string, why: string): InvalidParameterError {
  return new InvalidParameterError(`invalid idmap "${text}": ${why}`);
}
