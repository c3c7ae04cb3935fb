/**
 * `--chown` of COPY and ADD, and the owner of the folders that WORKDIR makes: IDs, or names that the parent's own
 * /etc/passwd and /etc/group have. A user's name brings its group along, a user's ID the group of the same number.
 */
import { closeSync, readSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import { byteString, bytesOf } from '../../image/layers/tar/byte-string.ts';
import { treeAddon } from '../../native/tree.ts';
import { parseGroup, parsePasswd } from '../../oci/user.ts';
import { TreeFiles } from './tree-files.ts';

export interface Owner {
  uid: number;
  gid: number;
}

const ID_MAX = 2 ** 31 - 1;
/** As BuildKit: an account file that is larger is none. */
const ACCOUNTS_MAX_BYTES = 10 * 1024 * 1024;

/**
 * Undefined for an empty text. `root`: the parent's root, where names are looked up; undefined where the copy must not depend on
 * it (`--link`). Throws InvalidParameter for names that are unknown, and IDs that are none.
 */
export function resolveOwner(text: string, root: string | undefined): Owner | undefined {
  if (text === '') return undefined;
  const colon = text.indexOf(':');
  const [user, group] = colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
  if (group?.includes(':') === true) throw new InvalidParameterError(`invalid chown string format: ${text}`);
  const owner = ownerOfUser(user, root);
  return group === undefined || group === '' ? owner : { ...owner, gid: groupId(group, root) };
}

function ownerOfUser(user: string, root: string | undefined): Owner {
  const id = parseId(user);
  if (id !== undefined) return { uid: id, gid: id };
  const entry = parsePasswd(accounts(root, 'passwd', 'user', user)).find(({ name }) => name === user);
  if (entry === undefined) {
    throw new InvalidParameterError(`unable to find user ${user}: no matching entries in passwd file`);
  }
  return { uid: checked(entry.uid), gid: checked(entry.gid) };
}

function groupId(group: string, root: string | undefined): number {
  const id = parseId(group);
  if (id !== undefined) return id;
  const entry = parseGroup(accounts(root, 'group', 'group', group)).find(({ name }) => name === group);
  if (entry === undefined) {
    throw new InvalidParameterError(`unable to find group ${group}: no matching entries in group file`);
  }
  return checked(entry.gid);
}

/** root has its number everywhere. */
function parseId(text: string): number | undefined {
  if (text === 'root' || text === '') return 0;
  return /^[-+]?\d+$/.test(text) ? checked(Number(text)) : undefined;
}

function checked(id: number): number {
  if (id < 0 || id > ID_MAX) throw new InvalidParameterError(`uids and gids must be in range 0-${ID_MAX}`);
  return id;
}

function accounts(root: string | undefined, file: string, kind: string, name: string): string {
  if (root === undefined) {
    throw new InvalidParameterError(
      `invalid ${kind} index: -1: with --link, --chown takes numbers, because "${name}" could mean another ${kind} in every image`,
    );
  }
  const files = new TreeFiles({ path: root });
  try {
    const { path, entry } = files.resolve(byteString(`etc/${file}`));
    if (entry === undefined) return '';
    if (!entry.isFile) throw new InvalidParameterError(`/etc/${file} is not a regular file`);
    if (entry.sizeBytes > ACCOUNTS_MAX_BYTES) {
      throw new InvalidParameterError(`/etc/${file} exceeds ${ACCOUNTS_MAX_BYTES} bytes`);
    }
    const fd = treeAddon().treeOpen(files.rootFd, bytesOf(path), entry.state);
    try {
      const bytes = Buffer.alloc(entry.sizeBytes);
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  } finally {
    files.close();
  }
}
