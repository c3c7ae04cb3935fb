/**
 * The file of a Unix socket: where it may be made, and with whose rights. Whoever can write to the folder of a socket
 * can put another in its place, and a link there would lead the daemon's chown(2) and chmod(2) astray, so that every
 * folder on the way must be root's alone.
 */
import { chmodSync, closeSync, lchownSync, lstatSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { InvalidParameterError, UnavailableError } from '../base/errors.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { addon } from '../native/addon.ts';

export interface SocketOwner {
  uid: number;
  gid: number;
  /** Permission bits. */
  mode: number;
}

/** The file of a socket that this process listens on. */
export interface SocketFile {
  readonly fd: number;
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
}

/** Clients that wait to be accepted. */
const BACKLOG = 4096;
/** sun_path of unix(7) has 108 bytes, with the zero at its end. */
const PATH_MAX_BYTES = 107;
const GROUP_OR_OTHER_WRITE = 0o022;
const STICKY = 0o1000;

/** `path` with links in its folder resolved. Throws InvalidParameter where the socket cannot safely be there. */
export function requireSocketPlace(path: string): string {
  if (!path.startsWith('/') || path.includes('\0') || path.endsWith('/')) {
    throw new InvalidParameterError(`invalid socket path "${path}": expected the absolute path of a file`);
  }
  let folder: string;
  try {
    folder = realpathSync(dirname(path));
  } catch (error) {
    throw new InvalidParameterError(`cannot make the socket ${path}: its folder cannot be found`, error);
  }
  const real = join(folder, basename(path));
  if (Buffer.byteLength(real) > PATH_MAX_BYTES) {
    throw new InvalidParameterError(`socket path "${real}" is longer than ${PATH_MAX_BYTES} bytes`);
  }
  requireRootsFolder(folder, path);
  return real;
}

/** A sticky folder keeps others from renaming root's files, but not from being there first: only ancestors may be one. */
function requireRootsFolder(folder: string, socket: string): void {
  for (let at = folder; ; at = dirname(at)) {
    const { uid, mode } = lstatSync(at);
    const shared = (mode & GROUP_OR_OTHER_WRITE) !== 0 && (at === folder || (mode & STICKY) === 0);
    if (uid !== 0 || shared) {
      throw new InvalidParameterError(
        `cannot make the socket ${socket}: others than root can write to ${at} (owner ${uid}, mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`,
      );
    }
    if (at === '/') return;
  }
}

/**
 * Listens on `path`: a stale socket is replaced, nobody can connect before owner and mode are right. Throws
 * Unavailable where a process listens there, InvalidParameter where something else than a socket is there. `handed` is a
 * socket that listens there already, of the daemon before; it is taken over, or closed. The file stays when `server`
 * closes: `removeSocketFile` takes it away.
 */
export async function listenOnPath(
  server: Server,
  path: string,
  owner: SocketOwner,
  handed?: number,
): Promise<SocketFile> {
  const adopted = handed !== undefined && isSocket(path);
  if (handed !== undefined && !adopted) closeSync(handed);
  const fd = adopted ? handed : await bindPath(path);
  await listenOnDescriptor(server, fd);
  lchownSync(path, owner.uid, owner.gid);
  const { dev, ino } = lstatSync(path);
  if (!isSocket(path)) throw new UnavailableError(`cannot listen on ${path}: it was replaced`);
  chmodSync(path, owner.mode);
  return { fd, path, dev, ino };
}

async function bindPath(path: string): Promise<number> {
  await removeStale(path);
  // The file is there with these rights from its first moment.
  const before = process.umask(0o177);
  try {
    return addon().listenUnix(path, BACKLOG);
  } finally {
    process.umask(before);
  }
}

/** `server` accepts on a socket that listens already, whose queue stays as long as any server wants it. */
export function listenOnDescriptor(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const ready = (): void => {
      server.off('error', reject);
      resolve();
    };
    // The second argument is the queue's length: node:net takes it from there alone where it is given a descriptor.
    const listen = server.listen.bind(server) as (at: object, backlog: number, done: () => void) => void;
    listen({ fd }, BACKLOG, ready);
  });
}

/** Takes away the file of a socket that nobody listens on any more; what somebody else has put there since is left. */
export function removeSocketFile({ path, dev, ino }: SocketFile): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() === true && stat.dev === dev && stat.ino === ino) rmSync(path, { force: true });
}

/** The same of a socket that another process has made and this one has closed. */
export function removeUnused(path: string): void {
  if (path.startsWith('/') && isSocket(path)) rmSync(path, { force: true });
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

/** The folder of the daemon's own socket is made where it is missing, for root alone to write to. */
export function makeSocketFolder(path: string): void {
  makeDirectory(dirname(path), 0o755);
}

async function removeStale(path: string): Promise<void> {
  if (await requireFreePath(path)) rmSync(path);
}

/**
 * Whether a stale socket is there; nothing is changed, for only who has the lock of the data root may take one away.
 * Throws as `listenOnPath`.
 */
export async function requireFreePath(path: string): Promise<boolean> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (!stat.isSocket()) {
    const what = stat.isSymbolicLink() ? 'a symbolic link' : 'not a socket';
    throw new InvalidParameterError(`cannot listen on ${path}: it exists and is ${what}`);
  }
  if (await answers(path)) {
    throw new UnavailableError(`cannot listen on ${path}: another process listens there`);
  }
  return true;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** A group's ID by name or number, from /etc/group; undefined where there is none. */
export function groupId(group: string): number | undefined {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
    const [name, , gid] = line.split(':');
    if (name === group) return Number(gid);
  }
  return undefined;
}
