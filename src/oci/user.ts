/**
 * Users and groups as a container's own /etc/passwd and /etc/group define them (passwd(5), group(5)): what
 * `--user`, `--group-add` and `--chown` mean. The files are given as text; a missing file is an empty text.
 */
import { InvalidParameterError } from '../base/errors.ts';

/** Ids above this are refused, as by Docker; also those of account files, where they could wrap around to root's. */
const ID_MAX = 2 ** 31 - 1;

export interface ContainerUser {
  uid: number;
  gid: number;
  /** Supplementary groups from /etc/group; empty where a group was asked for by name or number. */
  groups: number[];
  /** Home folder; `/` for a user that is not in /etc/passwd. */
  home: string;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

/** Lines that do not parse (comments, blank, no numbers) are passed over. */
export function parsePasswd(text: string): PasswdEntry[] {
  return lines(text).flatMap(([name, , uid, gid, , home]) =>
    name !== undefined && name !== '' && isNumber(uid) && isNumber(gid)
      ? [{ name, uid: Number(uid), gid: Number(gid), home: home ?? '' }]
      : [],
  );
}

export function parseGroup(text: string): GroupEntry[] {
  return lines(text).flatMap(([name, , gid, members]) =>
    name !== undefined && name !== '' && isNumber(gid)
      ? [{ name, gid: Number(gid), members: (members ?? '').split(',').filter((member) => member !== '') }]
      : [],
  );
}

function lines(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':').map((field) => field.trim()));
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^\d+$/.test(text);
}

function checkedId(text: string | number): number {
  const id = Number(text);
  if (id > ID_MAX) throw new InvalidParameterError(`uids and gids must be in range 0-${ID_MAX}`);
  return id;
}

/**
 * Resolves `user`, `uid`, `user:group`, `uid:gid` and mixtures; an empty text is root. A number is always an id,
 * never a name; one without an entry is taken as it is, with group 0. Throws InvalidParameter with Docker's text for
 * a name that is in neither file.
 */
export function lookupUser(spec: string, passwd: string, group: string): ContainerUser {
  const [userPart = '', groupPart = ''] = spec.split(':');
  if (/^-\d/.test(userPart) || /^-\d/.test(groupPart)) {
    throw new InvalidParameterError(`uids and gids must be in range 0-${ID_MAX}`);
  }
  const entry = findUser(userPart, parsePasswd(passwd));
  const user: ContainerUser =
    entry === undefined
      ? { uid: unknownUid(userPart), gid: 0, groups: [], home: '/' }
      : {
          uid: checkedId(entry.uid),
          gid: checkedId(entry.gid),
          groups: [],
          home: entry.home === '' ? '/' : entry.home,
        };
  if (groupPart !== '') return { ...user, gid: lookupGroup(groupPart, group) };
  if (entry === undefined) return user;
  const groups = parseGroup(group).filter(({ members }) => members.includes(entry.name));
  return { ...user, groups: groups.map(({ gid }) => checkedId(gid)) };
}

function findUser(part: string, entries: PasswdEntry[]): PasswdEntry | undefined {
  if (part === '') return entries.find(({ uid }) => uid === 0);
  return isNumber(part)
    ? entries.find(({ uid }) => uid === Number(part))
    : entries.find(({ name }) => name === part);
}

function unknownUid(part: string): number {
  if (part === '') return 0;
  if (isNumber(part)) return checkedId(part);
  throw new InvalidParameterError(`unable to find user ${part}: no matching entries in passwd file`);
}

/** One group by name or number. Throws InvalidParameter with Docker's text for an unknown name. */
export function lookupGroup(part: string, group: string): number {
  if (isNumber(part)) return checkedId(part);
  const entry = parseGroup(group).find(({ name }) => name === part);
  if (entry === undefined) {
    throw new InvalidParameterError(`unable to find group ${part}: no matching entries in group file`);
  }
  return checkedId(entry.gid);
}

/** `--group-add`: names or numbers, in their order, without repeats. */
export function lookupAdditionalGroups(groups: readonly string[], group: string): number[] {
  return [...new Set(groups.map((part) => lookupGroup(part, group)))];
}
