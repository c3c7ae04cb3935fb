/**
 * Options of the `local` driver (`volume create -o type=nfs -o o=addr=… -o device=:/export`): which go together, and
 * the words of `o` sorted into flags of mount(2) and data for the file system. Rules and texts are Docker's.
 */
import { InvalidParameterError } from '../base/errors.ts';
import { checkSizeOption } from './quota.ts';

/** What a volume with options is made of. Without `device` and `type` it is a folder like any other. */
export interface DriverOptions {
  type: string;
  device: string;
  /** The words of mount(8)'s `-o`. */
  o: string;
  /** 0: no limit. Of a tmpfs the mount has it, else the folder. */
  sizeBytes: number;
}

const KNOWN = ['type', 'o', 'device', 'size'] as const;
/** Each is nothing without the others. */
const REQUIRED: readonly [option: string, needs: readonly string[]][] = [
  ['o', ['device', 'type']],
  ['device', ['type']],
  ['type', ['device']],
];

/** Throws InvalidParameter with Docker's texts. */
export function parseDriverOptions(options: Readonly<Record<string, string>>): DriverOptions {
  const known: readonly string[] = KNOWN;
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new InvalidParameterError(`invalid option: "${name}"`);
  }
  const { type = '', device = '', o = '', size } = options;
  if (type === 'cifs' && /^\w*:?\/\/[^/]*:\d+(\/|$)/.test(device)) {
    throw new InvalidParameterError("port not allowed in CIFS device URL, include 'port' in 'o='");
  }
  for (const [option, needs] of REQUIRED) {
    if (options[option] === undefined) continue;
    const missing = needs.find((name) => options[name] === undefined);
    if (missing !== undefined) throw new InvalidParameterError(`missing required option: "${missing}"`);
  }
  if (splitWords(o).includes('remount')) {
    throw new InvalidParameterError('invalid option: "o": a volume is mounted once and not remounted');
  }
  const parsed = { type, device, o, sizeBytes: size === undefined ? 0 : checkSizeOption(size) };
  if (parsed.sizeBytes > 0 && needsMount(parsed) && type !== 'tmpfs') {
    throw new InvalidParameterError(
      `invalid option: "size": the size of a volume of type "${type}" is that of its device`,
    );
  }
  return parsed;
}

/** Whether something is mounted on the volume's folder while containers use it. */
export function needsMount({ type, device }: DriverOptions): boolean {
  return type !== '' || device !== '';
}

/**
 * Whether the owners of the files are the host's or another host's affair, and not those of the containers that have
 * the volume: in user namespaces they are shown as they are.
 */
export function hasForeignOwners({ type, o }: DriverOptions): boolean {
  return isRemote(type) || splitWords(o).some((word) => word === 'bind' || word === 'rbind');
}

/** Whether another host answers for the files, so that every access to them may take for ever. */
export function isRemote(fileSystem: string): boolean {
  return REMOTE.has(fileSystem) || fileSystem.startsWith('fuse');
}

const REMOTE = new Set([
  'nfs',
  'nfs4',
  'cifs',
  'smb3',
  'smbfs',
  'ceph',
  'glusterfs',
  '9p',
  'afs',
  'ncpfs',
  'coda',
  'lustre',
  'gfs2',
  'ocfs2',
  'orangefs',
]);

export const MS_RDONLY = 0x1;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
const MS_NOSUID = 0x2;
const MS_NODEV = 0x4;
const MS_NOEXEC = 0x8;
const MS_SYNCHRONOUS = 0x10;
const MS_MANDLOCK = 0x40;
const MS_DIRSYNC = 0x80;
const MS_NOATIME = 0x400;
const MS_NODIRATIME = 0x800;
const MS_REC = 0x4000;
const MS_UNBINDABLE = 0x20000;
const MS_PRIVATE = 0x40000;
const MS_SLAVE = 0x80000;
const MS_SHARED = 0x100000;
const MS_RELATIME = 0x200000;
const MS_STRICTATIME = 0x1000000;

/** Word to flag; a cleared flag has its word in the second table. */
const SET: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  mand: MS_MANDLOCK,
  dirsync: MS_DIRSYNC,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
};
const CLEAR: Readonly<Record<string, number>> = {
  defaults: 0,
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  nomand: MS_MANDLOCK,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  norelatime: MS_RELATIME,
  nostrictatime: MS_STRICTATIME,
};
const PROPAGATION: Readonly<Record<string, number>> = {
  unbindable: MS_UNBINDABLE,
  runbindable: MS_UNBINDABLE | MS_REC,
  private: MS_PRIVATE,
  rprivate: MS_PRIVATE | MS_REC,
  shared: MS_SHARED,
  rshared: MS_SHARED | MS_REC,
  slave: MS_SLAVE,
  rslave: MS_SLAVE | MS_REC,
};
/** What a bind keeps of its source unless it is mounted over again with these. */
const BIND_ATTRIBUTES =
  MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

export interface MountFlags {
  /** MS_* of the mount itself. */
  flags: number;
  /** MS_* of a second call that sets how it propagates; 0 for none. */
  propagation: number;
  /** A bind's attributes are set by a third call; 0 for none. */
  remount: number;
  /** The other words, for the file system, comma-separated. */
  data: string;
}

/** A later word wins over an earlier one. */
export function parseMountWords(o: string): MountFlags {
  let flags = 0;
  let propagation = 0;
  const data: string[] = [];
  for (const word of splitWords(o)) {
    const set = SET[word];
    const clear = CLEAR[word];
    if (set !== undefined) flags |= set;
    else if (clear !== undefined) flags &= ~clear;
    else if (PROPAGATION[word] !== undefined) propagation |= PROPAGATION[word];
    else data.push(word);
  }
  const attributes = (flags & MS_BIND) === 0 ? 0 : flags & BIND_ATTRIBUTES;
  return {
    flags,
    propagation,
    remount: attributes === 0 ? 0 : attributes | MS_REMOUNT | MS_BIND,
    data: data.join(','),
  };
}

export function splitWords(o: string): string[] {
  return o.split(',').filter((word) => word !== '');
}
