/** The request for a scoped socket, judged whole before anything is made, and the socket as it is shown. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import type { ScopedSocket, SocketCreateRequest } from '../../api/sockets.ts';
import { InvalidParameterError } from '../../base/errors.ts';
import { wayInside } from '../../volume/confined-bind.ts';
import { groupId, requireSocketPlace, type SocketOwner } from '../socket-file.ts';
import { AccessScope } from './scope.ts';
import type { SocketRecord } from './socket-table.ts';

/** Folders of the host that hold more than data: whoever can mount one of them, or what is above, has the host. */
const SYSTEM_FOLDERS = [
  '/boot',
  '/dev',
  '/etc',
  '/proc',
  '/root',
  '/run',
  '/sys',
  '/usr',
  '/var/lib/docker',
  '/var/run',
];

/** Throws InvalidParameter naming the field. `reserved` are the daemon's own folders. */
export function judgeSocketRequest(request: SocketCreateRequest, reserved: readonly string[]): SocketRecord {
  const path = requireSocketPlace(request.Path ?? '');
  const name = request.Name || posix.basename(path).replace(/\.sock$/, '');
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(name)) {
    throw new InvalidParameterError(
      `invalid socket name "${name}": expected letters, digits, "_", "." and "-", at most 63, the first a letter or digit`,
    );
  }
  const settings = {
    name,
    readOnly: request.ReadOnly === true,
    allow: [...new Set(request.Allow ?? [])],
    labels: request.Labels ?? [],
    mountRoots: (request.MountRoots ?? []).map((root) =>
      judgeMountRoot(root, [...SYSTEM_FOLDERS, ...reserved]),
    ),
    images: request.Images ?? [],
    networks: request.Networks ?? [],
  };
  const scope = new AccessScope(settings);
  if (scope.operations.size === 0) {
    throw new InvalidParameterError(`socket "${name}" would allow nothing: give it --read-only or --allow`);
  }
  return { settings, path, owner: judgeOwner(request), created: new Date().toISOString() };
}

function judgeOwner({ Mode = '', Uid: uid = 0, Group: group = '' }: SocketCreateRequest): SocketOwner {
  const mode = Number.parseInt(Mode || '0660', 8);
  if (!/^[0-7]{0,4}$/.test(Mode) || (mode & ~0o666) !== 0) {
    throw new InvalidParameterError(
      `invalid mode "${Mode}" of a socket: expected octal read and write bits, such as 0660`,
    );
  }
  if (uid < 0 || uid >= 2 ** 32 - 1) throw new InvalidParameterError(`invalid owner ${uid} of a socket`);
  const gid = group === '' ? 0 : groupId(group);
  if (gid === undefined || gid >= 2 ** 32 - 1)
    throw new InvalidParameterError(`group "${group}" does not exist`);
  return { uid, gid, mode };
}

/** The real path: a link on the way could be turned to another place later. */
function judgeMountRoot(root: string, refused: readonly string[]): string {
  const fail = (why: string): never => {
    throw new InvalidParameterError(`invalid mount root "${root}": ${why}`);
  };
  if (!root.startsWith('/')) fail('expected an absolute path');
  let real = '';
  try {
    real = realpathSync(root);
  } catch {
    fail('there is no such folder');
  }
  if (!statSync(real).isDirectory()) fail('it is no folder');
  for (const folder of refused) {
    if (wayInside(real, folder) !== undefined) fail(`${folder} lies in it`);
    if (wayInside(folder, real) !== undefined) fail(`it lies in ${folder}`);
  }
  return real;
}

/** What an administrator should know of what they asked for. */
export function socketWarnings({ settings, owner }: SocketRecord): string[] {
  const scope = new AccessScope(settings);
  const warnings: string[] = [];
  if ((owner.mode & 0o006) !== 0)
    warnings.push(`every user of this host may use the socket (mode ${octal(owner.mode)})`);
  const changes = [
    'containers.exec',
    'containers.copy',
    'containers.remove',
    'containers.kill',
    'volumes.remove',
  ];
  const open = changes.filter((operation) => scope.allows(operation));
  if (!scope.limitsObjects && open.length > 0) {
    warnings.push(`without --label, ${open.join(', ')} apply to all containers and volumes of this host`);
  }
  const naming = [
    'images.build',
    'images.commit',
    'images.import',
    'images.load',
    'images.remove',
    'images.tag',
  ];
  const renaming = naming.filter((operation) => scope.allows(operation));
  if (!scope.limitsImages && renaming.length > 0) {
    warnings.push(
      `without --image, ${renaming.join(', ')} reach every image of this host, also those that others start containers from`,
    );
  }
  for (const root of settings.mountRoots) {
    if (scope.allows('containers.create') && !keepsPrivileges(root)) {
      warnings.push(
        `${root} is not mounted with nosuid and nodev: root of a container can leave set-user-ID programs and devices there for users of this host`,
      );
    }
  }
  return warnings;
}

/** proc_pid_mountinfo(5): whether programs and devices in a folder have no power on the host. */
function keepsPrivileges(folder: string): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .map((fields) => ({ point: withoutEscapes(fields[4] ?? ''), options: (fields[5] ?? '').split(',') }))
    .filter(({ point }) => point !== '' && wayInside(point, folder) !== undefined);
  // The longest is the nearest, and of several on one place the last is on top.
  const nearest = mounts.reduce<(typeof mounts)[number] | undefined>(
    (best, one) => (best === undefined || one.point.length >= best.point.length ? one : best),
    undefined,
  );
  return nearest?.options.includes('nosuid') === true && nearest.options.includes('nodev');
}

/** Blanks and backslashes stand there as octal escapes. */
function withoutEscapes(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

export function describeSocket(
  { settings, path, owner, created }: SocketRecord,
  error: string,
): ScopedSocket {
  return {
    Name: settings.name,
    Path: path,
    Created: created,
    ReadOnly: settings.readOnly,
    Allow: [...settings.allow],
    Labels: [...settings.labels],
    MountRoots: [...settings.mountRoots],
    Images: [...settings.images],
    Networks: [...settings.networks],
    Mode: octal(owner.mode),
    Uid: owner.uid,
    Gid: owner.gid,
    Operations: operationsOf(settings),
    Error: error,
  };
}

/** A record of a newer build may name operations that this one does not have. */
function operationsOf(settings: SocketRecord['settings']): string[] {
  try {
    return [...new AccessScope(settings).operations].sort();
  } catch {
    return [];
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
