/**
 * The mounts of volumes with driver options: what `device` names lies on the volume's folder from its first user to
 * its last. Users are containers' runs and whatever else reads a volume for a while; they are counted here, and again
 * by a later daemon, which finds the mounts in the kernel's table. File systems of other hosts are mounted on the
 * thread pool, few at a time, and waited for only so long.
 */
import { lookup } from 'node:dns/promises';
import { realpathSync } from 'node:fs';
import { isIP, isIPv4 } from 'node:net';
import { getSystemErrorMap } from 'node:util';
import { errnoCode, errorMessage, InternalError, UnavailableError } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { Mutex } from '../base/mutex.ts';
import { mountsBelow } from '../image/layers/mount-table.ts';
import { addon } from '../native/addon.ts';
import { type DriverOptions, isRemote, parseMountWords, splitWords } from './driver-options.ts';

const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;
/** How long a container's start waits for another host; the mount itself goes on and serves the next attempt. */
const REMOTE_TIMEOUT_MS = 60_000;
/** Of the thread pool's four, as many may wait for other hosts. */
const REMOTE_AT_ONCE = 2;

/** A volume that is to be mounted, as its store knows it. */
export interface MountableVolume {
  name: string;
  /** Its folder, an absolute path. */
  path: string;
  options: DriverOptions;
}

interface Mounted {
  readonly users: Set<string>;
  /** Mounting and unmounting of one volume follow each other. */
  readonly mutex: Mutex;
  /** A mount under way that its first user may no longer wait for. */
  attempt: Promise<void> | undefined;
}

export class VolumeMounts {
  readonly #volumes = new Map<string, Mounted>();
  readonly #remote = new Places(REMOTE_AT_ONCE);

  /** True while somebody uses the volume, and while a mount that nobody waits for any more may still come about. */
  inUse(name: string): boolean {
    const mounted = this.#volumes.get(name);
    return mounted !== undefined && (mounted.users.size > 0 || mounted.attempt !== undefined);
  }

  /** Counts a user of a mount that an earlier daemon made. */
  adopt(name: string, user: string): void {
    this.#of(name).users.add(user);
  }

  /**
   * Mounts the volume where it is not mounted yet, and keeps it so until `release(name, user)`. Idempotent for one
   * user. Throws Internal with Docker's text (`error while mounting volume '…': failed to mount local volume: …`).
   */
  async mount(volume: MountableVolume, user: string): Promise<void> {
    const mounted = this.#of(volume.name);
    mounted.users.add(user);
    try {
      await mounted.mutex.run(() => this.#ensureMounted(mounted, volume));
    } catch (error) {
      mounted.users.delete(user);
      throw new InternalError(`error while mounting volume '${volume.path}'`, error);
    }
  }

  /** The last user's release unmounts the volume. Not in use by `user` is no error. */
  async release(volume: MountableVolume, user: string): Promise<void> {
    const mounted = this.#volumes.get(volume.name);
    if (mounted?.users.delete(user) !== true) return;
    await this.unmountUnused(volume);
  }

  /** Unmounts a volume that nobody uses: also one that an earlier daemon has left mounted. */
  async unmountUnused(volume: MountableVolume): Promise<void> {
    const mounted = this.#of(volume.name);
    await mounted.mutex.run(async () => {
      if (mounted.users.size > 0) return;
      while (mountedOn(volume.path).length > 0) {
        await addon().unmountAsync(volume.path, MNT_DETACH | UMOUNT_NOFOLLOW);
      }
      if (mounted.attempt === undefined && mounted.users.size === 0) this.#volumes.delete(volume.name);
    });
  }

  #of(name: string): Mounted {
    let mounted = this.#volumes.get(name);
    if (mounted === undefined) {
      mounted = { users: new Set(), mutex: new Mutex(), attempt: undefined };
      this.#volumes.set(name, mounted);
    }
    return mounted;
  }

  async #ensureMounted(mounted: Mounted, volume: MountableVolume): Promise<void> {
    if (mountedOn(volume.path).length > 0) return;
    const remote = isRemote(volume.options.type);
    if (mounted.attempt === undefined) {
      const attempt = remote ? this.#remote.run(() => attach(volume)) : attach(volume);
      mounted.attempt = attempt;
      const done = (): void => {
        mounted.attempt = undefined;
        // Its user gave up waiting, and nobody came after him.
        if (mounted.users.size === 0) this.#unmountLate(volume);
      };
      attempt.then(done, done);
    }
    await (remote ? inTime(mounted.attempt, volume) : mounted.attempt);
  }

  #unmountLate(volume: MountableVolume): void {
    this.unmountUnused(volume).catch((error: unknown) => {
      log.warn({ volume: volume.name, error: errorMessage(error) }, 'cannot unmount a volume');
    });
  }
}

/** At most so many at a time, the others in their order. */
class Places {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(places: number) {
    this.#free = places;
  }

  async run<T>(section: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await section();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** The file systems mounted on exactly this path, the topmost last. The path is that of a folder of ours. */
export function mountedOn(path: string): string[] {
  const mountPoint = realPath(path);
  return mountsBelow(mountPoint)
    .filter((entry) => entry.mountPoint === mountPoint)
    .map(({ fileSystem }) => fileSystem);
}

/** Mount points below a folder, itself included. */
export function mountPointsBelow(folder: string): string[] {
  return mountsBelow(realPath(folder)).map(({ mountPoint }) => mountPoint);
}

/**
 * The parents are looked up, the last name is not: stat of a mounted file system could wait for its server. A folder
 * that is not there has no mounts either.
 */
function realPath(path: string): string {
  const slash = path.lastIndexOf('/');
  try {
    return `${realpathSync(path.slice(0, slash))}${path.slice(slash)}`;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return path;
    throw error;
  }
}

async function inTime(attempt: Promise<void>, { options }: MountableVolume): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(
      new UnavailableError(
        `failed to mount local volume: ${options.device}: no answer within ${REMOTE_TIMEOUT_MS / 1000} s`,
      ),
    );
  }, REMOTE_TIMEOUT_MS);
  try {
    await Promise.race([attempt, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

async function attach({ path, options }: MountableVolume): Promise<void> {
  if (options.device === '') throw new InternalError('missing device in volume options');
  const { device, o } = await withAddresses(options);
  const words = parseMountWords(o);
  const limit = options.sizeBytes > 0 ? [`size=${options.sizeBytes}`] : [];
  const data = [...splitWords(words.data), ...limit].join(',');
  makeDirectory(path, 0o755);
  const native = addon();
  try {
    await native.mountAsync(device, path, options.type, words.flags, data);
    try {
      if (words.propagation !== 0) await native.mountAsync('', path, '', words.propagation, '');
      if (words.remount !== 0) await native.mountAsync('', path, '', words.remount, '');
    } catch (error) {
      await native.unmountAsync(path, MNT_DETACH | UMOUNT_NOFOLLOW);
      throw error;
    }
  } catch (error) {
    throw mountError(error, { device, path, flags: words.flags, data });
  }
}

/** Docker's text; passwords of shares stay out of it. */
function mountError(
  error: unknown,
  call: { device: string; path: string; flags: number; data: string },
): InternalError {
  const data = call.data.replace(/(^|,)(pass(?:word)?[0-9]?)=[^,]*/g, '$1$2=********');
  const flags = call.flags === 0 ? '' : `, flags: 0x${call.flags.toString(16)}`;
  const shown = data === '' ? '' : `, data: ${data}`;
  const what = `mount ${call.device}:${call.path}${flags}${shown}: ${reasonOf(error)}`;
  return new InternalError(`failed to mount local volume: ${what}`);
}

function reasonOf(error: unknown): string {
  const code = errnoCode(error);
  for (const [name, text] of getSystemErrorMap().values()) if (name === code) return text;
  return errorMessage(error);
}

/**
 * The kernel takes addresses of servers, not names: `addr=` of NFS and CIFS, and the server in the device of a share
 * without one, are looked up.
 */
async function withAddresses({ type, device, o }: DriverOptions): Promise<{ device: string; o: string }> {
  const nfs = type === 'nfs' || type === 'nfs4';
  if (!nfs && type !== 'cifs' && type !== 'smb3') return { device, o };
  const words = splitWords(o);
  const given = words.find((word) => word.startsWith('addr='))?.slice('addr='.length);
  if (given !== undefined && given !== '') {
    if (isIPv4(given)) return { device, o };
    const address = await resolve(given);
    return {
      device,
      o: words.map((word) => (word === `addr=${given}` ? `addr=${address}` : word)).join(','),
    };
  }
  if (nfs) {
    const server = /^(\[[^\]]+\]|[^:/]+):\//.exec(device)?.[1];
    if (server === undefined) return { device, o };
    return { device, o: [...words, `addr=${await resolve(server.replace(/^\[|\]$/g, ''))}`].join(',') };
  }
  const share = /^([a-z0-9]+:)?\/\/([^/]+)(\/.*)?$/i.exec(device);
  const server = share?.[2];
  if (share === null || server === undefined || isIP(server) !== 0) return { device, o };
  return { device: `${share[1] ?? ''}//${await resolve(server)}${share[3] ?? ''}`, o };
}

async function resolve(name: string): Promise<string> {
  if (isIP(name) !== 0) return name;
  try {
    return (await lookup(name)).address;
  } catch (error) {
    throw new InternalError(
      `error resolving passed in network volume address: lookup ${name}: ${errnoCode(error) === 'ENOTFOUND' ? 'no such host' : errorMessage(error)}`,
    );
  }
}
