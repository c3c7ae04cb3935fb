/** Go's os.FileMode, in which BuildKit sends modes: permissions below, type and special bits in places of their own. */
import { constants } from 'node:fs';

const GO = {
  directory: 0x80000000,
  symlink: 0x08000000,
  device: 0x04000000,
  fifo: 0x02000000,
  socket: 0x01000000,
  setuid: 0x00800000,
  setgid: 0x00400000,
  characterDevice: 0x00200000,
  sticky: 0x00100000,
  irregular: 0x00080000,
};

const TYPE_BITS =
  GO.directory | GO.symlink | GO.device | GO.fifo | GO.socket | GO.characterDevice | GO.irregular;

export type FileKind = 'regular' | 'directory' | 'symlink' | 'fifo' | 'other';

export function kindOf(mode: number): FileKind {
  // Bit operations give signed numbers; only zero or not matters.
  if ((mode & TYPE_BITS) === 0) return 'regular';
  if ((mode & GO.directory) !== 0) return 'directory';
  if ((mode & GO.symlink) !== 0) return 'symlink';
  if ((mode & GO.fifo) !== 0) return 'fifo';
  return 'other';
}

/** Permissions with setuid, setgid and sticky, as chmod(2) takes them. */
export function permissionsOf(mode: number): number {
  let bits = mode & 0o777;
  if ((mode & GO.setuid) !== 0) bits |= 0o4000;
  if ((mode & GO.setgid) !== 0) bits |= 0o2000;
  if ((mode & GO.sticky) !== 0) bits |= 0o1000;
  return bits;
}

/** From stat(2)'s mode. */
export function goMode(mode: number): number {
  let bits = mode & 0o777;
  if ((mode & 0o4000) !== 0) bits |= GO.setuid;
  if ((mode & 0o2000) !== 0) bits |= GO.setgid;
  if ((mode & 0o1000) !== 0) bits |= GO.sticky;
  switch (mode & constants.S_IFMT) {
    case constants.S_IFDIR:
      bits |= GO.directory;
      break;
    case constants.S_IFLNK:
      bits |= GO.symlink;
      break;
    case constants.S_IFIFO:
      bits |= GO.fifo;
      break;
    case constants.S_IFSOCK:
      bits |= GO.socket;
      break;
    case constants.S_IFBLK:
      bits |= GO.device;
      break;
    case constants.S_IFCHR:
      bits |= GO.device | GO.characterDevice;
      break;
    default:
      break;
  }
  return bits >>> 0;
}
