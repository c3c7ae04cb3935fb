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

/**
 * The mappings of a mount whose source is the path `source`, for a container that runs as what `user` finds; undefined where they
 * would change nothing. `owner` looks at the source now, and throws InvalidParameter where that belongs to root and the
 * user is somebody else.
 */
export function resolveIdMap(text: string, source: string, user: () => Owner): MountIdMap | undefined {
  const map = text === OWNER ? ownerMap(source, user()) : parseRanges(text);
  return changesNothing(map.uidMappings) && changesNothing(map.gidMappings) ? undefined : map;
}

function changesNothing([first, ...more]: readonly IdMapping[]): boolean {
  return first !== undefined && more.length === 0 && first.size === ID_END;
}

function ownerMap(source: string, user: Owner): MountIdMap {
  const { uid, gid } = statSync(source);
  if (uid === 0 && user.uid !== 0) {
    throw new InvalidParameterError(
      `idmap=owner: ${source} belongs to root, whose files are not given to the container's user ${user.uid}; name the IDs: idmap=uids=FROM-TO-LENGTH;gids=FROM-TO-LENGTH`,
    );
  }
  return { uidMappings: oneMoved(uid, user.uid), gidMappings: oneMoved(gid, gid === 0 ? 0 : user.gid) };
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

function parseRanges(text: string): MountIdMap {
  const found = new Map<string, IdMapping[]>();
  for (const part of text.split(';')) {
    const [kind = '', ranges = ''] = part.split(/=(.*)/s);
    if (kind !== 'uids' && kind !== 'gids') {
      throw wrong(text, 'it must be "owner", or "uids=FROM-TO-LENGTH#…;gids=FROM-TO-LENGTH#…"');
    }
    if (found.has(kind)) throw wrong(text, `${kind} stands twice`);
    found.set(kind, readRanges(text, kind, ranges));
  }
  return { uidMappings: found.get('uids') ?? [...ALL], gidMappings: found.get('gids') ?? [...ALL] };
}

function readRanges(text: string, kind: string, ranges: string): IdMapping[] {
  const mappings = ranges.split('#').map((range) => {
    // `@`: relative to the container's user namespace. Containers have the host's.
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
