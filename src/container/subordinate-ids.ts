/**
 * Which IDs of the host may stand for containers': the daemon's one mapping (`--userns-remap`), and the pools that
 * `--userns auto` takes ranges from. Reads the host's account files; what they mean is decided in user-mappings.ts.
 *
 * `default` means the ranges of the user `dockremap`, else those of `mydock`. Ranges for `auto` are those of `mydock`,
 * or, where that has none, the high IDs below: those of the user `containers` are Podman's, which gives them out itself.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { errnoCode, InvalidParameterError } from '../base/errors.ts';
import { parseGroup, parsePasswd } from '../oci/user.ts';
import {
  DEFAULT_RANGE_SIZE,
  type IdRange,
  mappingOf,
  parseSubordinateRanges,
  rangesOf,
  type SubordinateRange,
  type UserMapping,
} from '../oci/user-mappings.ts';

const DEFAULT_USERS = ['dockremap', 'mydock'];
const AUTO_USER = 'mydock';

/**
 * What systemd's table of IDs (UIDS-GIDS.md) leaves unused, above all that tools give to users, services and machines,
 * and below those that signed numbers get wrong.
 */
const HIGH_RANGE: IdRange = { first: 1_879_048_192, size: 268_304_384 };

export interface AccountFiles {
  subuid: string;
  subgid: string;
  passwd: string;
  group: string;
}

export const HOST_FILES: AccountFiles = {
  subuid: '/etc/subuid',
  subgid: '/etc/subgid',
  passwd: '/etc/passwd',
  group: '/etc/group',
};

/** Pools for `--userns auto`, and what of them is somebody's. */
export interface RangePool {
  uids: IdRange[];
  gids: IdRange[];
  taken: IdRange[];
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // A host without the file has no such accounts.
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/**
 * The mapping that `--userns-remap` names: `default`, or a user and optionally a group, by name or number. Throws
 * InvalidParameter that says which line to add where there is no range.
 */
export function remapMapping(text: string, files: AccountFiles = HOST_FILES): UserMapping {
  const [user = '', group, ...more] = text.split(':');
  if (user === '' || group === '' || more.length > 0) {
    throw new InvalidParameterError(
      `invalid --userns-remap "${text}": it must be default, USER or USER:GROUP`,
    );
  }
  const { subuids, subgids } = readSubordinates(files);
  const chosen = text === 'default' ? defaultUser(subuids) : user;
  const uids = rangesOf(subuids, namesOf(chosen, 'user', files), files.subuid);
  if (uids.length === 0) throw missing(text, chosen, files.subuid, subuids);
  const own = group === undefined ? [] : rangesOf(subgids, namesOf(group, 'group', files), files.subgid);
  // Entries of subgid(5) stand under the user's name.
  const gids = own.length > 0 ? own : rangesOf(subgids, namesOf(chosen, 'user', files), files.subgid);
  if (gids.length === 0) throw missing(text, chosen, files.subgid, subgids);
  return { uids: mappingOf(uids, files.subuid), gids: mappingOf(gids, files.subgid) };
}

function readSubordinates(files: AccountFiles): { subuids: SubordinateRange[]; subgids: SubordinateRange[] } {
  return {
    subuids: parseSubordinateRanges(readText(files.subuid), files.subuid),
    subgids: parseSubordinateRanges(readText(files.subgid), files.subgid),
  };
}

function defaultUser(subuids: readonly SubordinateRange[]): string {
  return DEFAULT_USERS.find((name) => subuids.some(({ owner }) => owner === name)) ?? AUTO_USER;
}

/** All names of a user or group: as it was given, and by number or name. */
function namesOf(given: string, kind: 'user' | 'group', files: AccountFiles): string[] {
  const entries =
    kind === 'user'
      ? parsePasswd(readText(files.passwd)).map(({ name, uid }) => [name, String(uid)] as const)
      : parseGroup(readText(files.group)).map(({ name, gid }) => [name, String(gid)] as const);
  return [given, ...entries.flatMap(([name, id]) => (name === given ? [id] : id === given ? [name] : []))];
}

function missing(
  text: string,
  user: string,
  file: string,
  ranges: readonly SubordinateRange[],
): InvalidParameterError {
  const end = Math.max(100_000, ...ranges.map(({ first, size }) => first + size));
  const who = text === 'default' ? DEFAULT_USERS.toReversed().join(' or ') : user;
  return new InvalidParameterError(
    `--userns-remap "${text}": ${file} has no range for ${who}; add a line such as ${user}:${end}:${DEFAULT_RANGE_SIZE}`,
  );
}

/**
 * Where ranges for `auto` are taken from. The high IDs are shared with whoever else thought of them: what account files
 * and processes of other user namespaces have is taken there. What containers have that do not run nobody sees but
 * their daemon: each begins at another place, which `dataRoot` chooses.
 */
export function autoPool(
  remap: UserMapping | undefined,
  dataRoot: string,
  files: AccountFiles = HOST_FILES,
): RangePool {
  const { subuids, subgids } = readSubordinates(files);
  const own = namesOf(AUTO_USER, 'user', files);
  const [uids, gids] = [rangesOf(subuids, own, files.subuid), rangesOf(subgids, own, files.subgid)];
  const remapped = [...(remap?.uids ?? []), ...(remap?.gids ?? [])].map(({ hostID, size }) => ({
    first: hostID,
    size,
  }));
  const isRemapped = uids.every(({ first }) => remapped.some((range) => range.first === first));
  if (uids.length > 0 && gids.length > 0 && !isRemapped) return { uids, gids, taken: remapped };
  const accounts = [
    ...parsePasswd(readText(files.passwd)).map(({ uid }) => uid),
    ...parseGroup(readText(files.group)).map(({ gid }) => gid),
  ].map((id) => ({ first: id, size: 1 }));
  const high = [from(HIGH_RANGE, dataRoot), HIGH_RANGE];
  return {
    uids: high,
    gids: high,
    taken: [...subuids, ...subgids, ...accounts, ...remapped, ...rangesInUse()],
  };
}

/** The part of a range behind a place that a text chooses. */
function from({ first, size }: IdRange, text: string): IdRange {
  const blocks = Math.floor(size / DEFAULT_RANGE_SIZE);
  const block = createHash('sha256').update(text).digest().readUInt32LE(0) % blocks;
  return { first: first + block * DEFAULT_RANGE_SIZE, size: size - block * DEFAULT_RANGE_SIZE };
}

/** Of the processes that are in user namespaces, whichever engine started them. */
function rangesInUse(): IdRange[] {
  const maps = new Set(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => [mapOf(pid, 'uid_map'), mapOf(pid, 'gid_map')]),
  );
  return [...maps].flatMap((text) =>
    text.split('\n').flatMap((line) => {
      const [, first, size] = line.trim().split(/\s+/).map(Number);
      // All IDs: the host's own namespace.
      return first === undefined || size === undefined || first === 0 ? [] : [{ first, size }];
    }),
  );
}

function mapOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It has ended.
    return '';
  }
}
