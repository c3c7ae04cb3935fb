/**
 * The mounts of merged images, one an image, at `<directory>/<key>`, shared by all root filesystems that use it. What
 * uses a mount is known from the kernel's table, so that a daemon that was killed loses nothing: its successor counts
 * again. An overlay keeps its lower's file system by itself; the count is only for sharing one.
 */
import { readdirSync, realpathSync, rmdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoCode } from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { makeDirectory } from '../../../base/make-directory.ts';
import { MAPPED_SUFFIX } from '../mapped-mounts.ts';
import { type MountEntry, readMountTable, unescapeOctal } from '../mount-table.ts';
import { unmount } from '../overlay-mount.ts';

const KEY = /^[0-9a-f]{64}$/;
/** overlayfs tells its lowers as `lowerdir=a:b` or, one each, as `lowerdir+=a`. */
const LOWER = /^lowerdir(\+?)=/;

interface ImageMount {
  readonly key: string;
  readonly path: string;
  /** Targets of root filesystems. */
  readonly users: Set<string>;
  /** Resolves when it is mounted. */
  mounted: Promise<void>;
  /** Device number of the file system; undefined until it is mounted. */
  device: number | undefined;
  linger: NodeJS.Timeout | undefined;
}

export class ImageMounts {
  readonly #directory: string;
  readonly #lingerMs: number;
  readonly #images = new Map<string, ImageMount>();
  /** By the target of a root filesystem: all that it lies on. */
  readonly #imagesOf = new Map<string, Set<ImageMount>>();
  readonly #unmounting = new Set<Promise<void>>();

  /** `directory` is made when there is something to mount. Mounts without a user stay for `lingerMs`. */
  constructor(directory: string, lingerMs: number) {
    makeDirectory(directory, 0o700);
    this.#directory = realpathSync(directory);
    this.#lingerMs = lingerMs;
    for (const [key, users] of this.#inKernel()) this.#adopt(key, users);
  }

  /** Number of images that are mounted. */
  get size(): number {
    return this.#images.size;
  }

  has(key: string): boolean {
    return this.#images.has(key);
  }

  /** Images that are mounted, and the mount points that use them. */
  #inKernel(): Map<string, Set<string>> {
    const table = readMountTable();
    const users = new Map<string, Set<string>>();
    const keyOfDevice = new Map<string, string>();
    for (const { fileSystem, mountPoint, device } of table) {
      const key = this.#keyOf(mountPoint);
      if (fileSystem !== 'erofs' || key === undefined) continue;
      users.set(key, new Set());
      keyOfDevice.set(device, key);
    }
    for (const entry of table) {
      if (this.#keyOf(entry.mountPoint) !== undefined) continue;
      const own = keyOfDevice.get(entry.device) ?? '';
      const keys = entry.fileSystem === 'erofs' ? [own] : this.#lowerKeys(entry);
      for (const key of keys) users.get(key)?.add(entry.mountPoint);
    }
    return users;
  }

  #keyOf(path: string): string | undefined {
    const key = basename(path);
    return dirname(path) === this.#directory && KEY.test(key) ? key : undefined;
  }

  /** The images that an overlay lies on. */
  #lowerKeys({ fileSystem, superOptions }: MountEntry): string[] {
    if (fileSystem !== 'overlay') return [];
    return superOptions
      .split(',')
      .flatMap((option) => lowersOf(option))
      .flatMap((lower) => this.#keyOf(lower.split(MAPPED_SUFFIX)[0] ?? '') ?? []);
  }

  #adopt(key: string, users: Set<string>): void {
    const path = join(this.#directory, key);
    const image: ImageMount = {
      key,
      path,
      users,
      mounted: Promise.resolve(),
      device: deviceOf(path),
      linger: undefined,
    };
    this.#images.set(key, image);
    for (const user of users) this.#addUser(image, user);
  }

  /**
   * Gives where an image is mounted, which it stays until `release(target)`. `mount` is called where it is not yet: once
   * for all that ask at the same time.
   */
  async use(key: string, target: string, mount: (path: string) => Promise<void>): Promise<string> {
    let image = this.#images.get(key);
    if (image !== undefined && image.device !== undefined && deviceOf(image.path) !== image.device) {
      log.warn({ path: image.path }, 'the mount of an image has gone by other hands, and is made again');
      this.#forget(image);
      image = undefined;
    }
    image ??= this.#begin(key, mount);
    const user = resolved(target);
    this.#addUser(image, user);
    clearTimeout(image.linger);
    await image.mounted;
    return image.path;
  }

  #addUser(image: ImageMount, user: string): void {
    image.users.add(user);
    const images = this.#imagesOf.get(user) ?? new Set();
    this.#imagesOf.set(user, images.add(image));
  }

  #removeUser(image: ImageMount, user: string): void {
    image.users.delete(user);
    const images = this.#imagesOf.get(user);
    images?.delete(image);
    if (images?.size === 0) this.#imagesOf.delete(user);
  }

  #begin(key: string, mount: (path: string) => Promise<void>): ImageMount {
    const path = join(this.#directory, key);
    const image: ImageMount = {
      key,
      path,
      users: new Set(),
      mounted: Promise.resolve(),
      device: undefined,
      linger: undefined,
    };
    image.mounted = this.#mount(image, mount).catch((error: unknown) => {
      this.#forget(image);
      removeEmpty(path);
      throw error;
    });
    /* Awaited by every user. */
    image.mounted.catch(() => undefined);
    this.#images.set(key, image);
    return image;
  }

  async #mount(image: ImageMount, mount: (path: string) => Promise<void>): Promise<void> {
    makeDirectory(image.path, 0o700);
    await mount(image.path);
    image.device = deviceOf(image.path);
  }

  #forget(image: ImageMount): void {
    clearTimeout(image.linger);
    if (this.#images.get(image.key) === image) this.#images.delete(image.key);
    for (const user of [...image.users]) this.#removeUser(image, user);
  }

  /** The root filesystem at `target` is unmounted. One that uses no image is no error. */
  release(target: string): void {
    const user = resolved(target);
    for (const image of [...(this.#imagesOf.get(user) ?? [])]) this.#releaseOne(image, user);
  }

  #releaseOne(image: ImageMount, user: string): void {
    this.#removeUser(image, user);
    if (image.users.size > 0) return;
    clearTimeout(image.linger);
    image.linger = setTimeout(() => this.unmountUnused(image.key), this.#lingerMs).unref();
  }

  /** Unmounts an image, where it is mounted and nobody uses it. */
  unmountUnused(key: string): void {
    const image = this.#images.get(key);
    if (image !== undefined && image.users.size === 0) this.#unmount(image);
  }

  /**
   * The image's files are no longer those that are mounted: whoever asks next gets a mount of its own. Root filesystems
   * that lie on the old one keep it until they are unmounted.
   */
  letGo(key: string): void {
    const image = this.#images.get(key);
    if (image?.device !== undefined) this.#unmount(image);
  }

  /** The mount point is free at once; letting go of the file system takes its time. */
  #unmount(image: ImageMount): void {
    this.#forget(image);
    const done = unmount(image.path)
      .catch((error: unknown) =>
        log.warn({ err: error, path: image.path }, 'an image that nobody uses cannot be unmounted'),
      )
      .finally(() => {
        this.#unmounting.delete(done);
        if (!this.#images.has(image.key)) removeEmpty(image.path);
      });
    this.#unmounting.add(done);
  }

  /** Forgets users that are no longer mounted, whoever unmounted them, and removes what is left of mount points. */
  sweep(): void {
    const users = this.#inKernel();
    for (const image of this.#images.values()) {
      const known = users.get(image.key);
      if (image.device === undefined || known === undefined) continue;
      for (const user of [...image.users]) if (!known.has(user)) this.#releaseOne(image, user);
      this.unmountUnused(image.key);
    }
    for (const name of readdirSync(this.#directory)) {
      if (!this.#images.has(name)) removeEmpty(join(this.#directory, name));
    }
  }

  /** Unmounts what nobody uses; the rest is there for a successor. Resolves when it is unmounted. */
  async close(): Promise<void> {
    for (const { key } of [...this.#images.values()]) this.unmountUnused(key);
    await Promise.all(this.#unmounting);
  }
}

function lowersOf(option: string): string[] {
  const match = LOWER.exec(option);
  if (match === null) return [];
  const value = unescapeOctal(option.slice(match[0].length));
  return match[1] === '+' ? [value] : [value, ...value.split(':')];
}

function deviceOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.dev;
}

/** As the kernel's table has it. */
function resolved(target: string): string {
  try {
    return realpathSync(target);
  } catch {
    // A target that is gone has no other name.
    return target;
  }
}

/** A mount point is an empty directory; what is not, or is mounted, stays. */
function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY' && code !== 'ENOTDIR') throw error;
  }
}
