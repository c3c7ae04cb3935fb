/**
 * The mounts of one step, made ready on the host: what is to be bound where, what the environment gets of them, and the
 * end of all of it. Where a mount stands in the step's root is found by the kernel, when the container is made.
 */
import { chmodSync, chownSync, closeSync, fstatSync } from 'node:fs';
import { InvalidParameterError } from '../../base/errors.ts';
import type { MountOwners } from '../../image/layers/mapped-mounts.ts';
import { O_DIRECTORY, openInside } from '../../native/inside-root.ts';
import type { ContainerMount } from '../../oci/mounts.ts';
import { copyTree, openDirectory } from '../../volume/copy-tree.ts';
import type { BuildSession } from '../session.ts';
import type { SourceTree } from '../source/source-tree.ts';
import { BindViews, isExcluded, pathInTree } from './bind-views.ts';
import type { CacheLease, CacheMounts } from './cache-mounts.ts';
import { PrivateFiles } from './private-files.ts';
import type { RunMount } from './run-step.ts';

export interface StepMountsOptions {
  /** The step's own folder, beside its upper directory. */
  folder: string;
  /** Another, below the exec root. */
  execFolder: string;
  caches: CacheMounts;
  session: BuildSession | undefined;
  owners: MountOwners | undefined;
  /** Tells those who watch why the step does not begin. */
  onWait(text: string): void;
  signal: AbortSignal;
}

type CacheMount = RunMount & { type: 'cache' };
type SecretMount = RunMount & { type: 'secret' };
type SshMount = RunMount & { type: 'ssh' };

export class StepMounts {
  readonly mounts: ContainerMount[] = [];
  /** `NAME=value`, over what the step has of the name. */
  readonly env: string[] = [];
  readonly #options: StepMountsOptions;
  readonly #views: BindViews;
  readonly #private: PrivateFiles;
  readonly #leases = new Map<string, CacheLease>();
  #agents = 0;

  private constructor(options: StepMountsOptions) {
    this.#options = options;
    this.#views = new BindViews(options.folder, options.owners);
    this.#private = new PrivateFiles(options.execFolder);
  }

  /** All of them or none. Throws InvalidParameter for what the client or a tree does not have. */
  static async open(requests: readonly RunMount[], options: StepMountsOptions): Promise<StepMounts> {
    const mounts = new StepMounts(options);
    try {
      // One order for all steps: two that wait for each other's locked caches would wait for ever.
      const caches = requests.filter((one): one is CacheMount => one.type === 'cache');
      for (const one of caches.sort((a, b) => (cacheName(a) < cacheName(b) ? -1 : 1))) {
        await mounts.#lease(one);
      }
      for (const one of requests) await mounts.#add(one);
      return mounts;
    } catch (error) {
      await mounts.close();
      throw error;
    }
  }

  async #lease(one: CacheMount): Promise<void> {
    const name = cacheName(one);
    if (this.#leases.has(name)) return;
    const { caches, onWait, signal } = this.#options;
    const { id, sharing, mode, uid, gid, from, fromKey = '', source, target } = one;
    const keepsAttributes = from !== undefined && one.keepsAttributes === true;
    const fill = async (to: string): Promise<void> => {
      const isFilled = (await one.imported?.(to, signal)) === true;
      if (from === undefined) return;
      if (!isFilled) await fillCache(from, source, to, signal);
      if (one.keepsAttributes === true) takeAttributes(from, source, to);
    };
    const description = `cached mount ${target} with id "${id}"`;
    const request = { id, sharing, fromKey, mode, uid, gid, description, fill, keepsAttributes };
    const wait = (): void => onWait(`waiting for the cache mount "${id}", which another step has locked\n`);
    this.#leases.set(name, await caches.acquire(request, wait, signal));
  }

  async #add(one: RunMount): Promise<void> {
    switch (one.type) {
      case 'bind': {
        const source = await this.#views.show(one, this.#options.signal);
        this.#bind(source, one.target, one.readOnly, false);
        return;
      }
      case 'cache': {
        const lease = this.#leases.get(cacheName(one));
        if (lease !== undefined) this.#bind(lease.path, one.target, one.readOnly, true);
        return;
      }
      case 'tmpfs': {
        const size = one.sizeBytes === undefined ? '' : `,size=${one.sizeBytes}`;
        this.mounts.push({ type: 'tmpfs', destination: one.target, options: `exec${size}` });
        return;
      }
      case 'secret':
        return await this.#secret(one);
      case 'ssh':
        return await this.#ssh(one);
    }
  }

  #bind(source: string, destination: string, readOnly: boolean, ownersInside: boolean): void {
    this.mounts.push({ type: 'bind', source, destination, readOnly, ownersInside });
  }

  async #secret({ id, required, target, env, ...attributes }: SecretMount): Promise<void> {
    const content = await this.#options.session?.secret(id);
    if (content === undefined) {
      if (required) throw new InvalidParameterError(`secret ${id}: not found`);
      return;
    }
    if (env !== undefined) this.env.push(`${env}=${secretText(id, content)}`);
    if (target !== undefined) this.#bind(this.#private.secret(content, attributes), target, true, true);
  }

  async #ssh({ id, required, target, ...attributes }: SshMount): Promise<void> {
    const { session } = this.#options;
    const number = this.#agents++;
    if (session === undefined || !(await session.hasSshAgent(id))) {
      if (required) throw new InvalidParameterError(`no SSH key "${id}" forwarded from the client`);
      return;
    }
    const destination = target ?? `/run/buildkit/ssh_agent.${number}`;
    const socket = await this.#private.agent(() => session.connectSshAgent(id), attributes);
    this.#bind(socket, destination, false, true);
    if (!this.env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='))) {
      this.env.push(`SSH_AUTH_SOCK=${destination}`);
    }
  }

  /** Unmounts, ends connections, lets go of caches. What is in `folder` is the caller's to remove. */
  async close(): Promise<void> {
    try {
      this.#views.close();
      await this.#private.close();
    } finally {
      for (const lease of this.#leases.values()) lease.release();
      this.#leases.clear();
    }
  }
}

function cacheName({ id, sharing, fromKey = '', mode, uid, gid }: CacheMount): string {
  return JSON.stringify([id, fromKey, mode, uid, gid, sharing]);
}

/** As COPY would: without what .dockerignore leaves out, and root's where it is somebody's own folder. */
async function fillCache(
  tree: SourceTree,
  source: string,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const rootFd = openDirectory(tree.path);
  let from: number | undefined;
  let to: number | undefined;
  try {
    from = openInside(rootFd, source, O_DIRECTORY);
    to = openDirectory(target);
    const below = pathInTree(rootFd, from);
    const path = (relative: string): string => (below === '' ? relative : `${below}/${relative}`);
    await copyTree(from, to, {
      signal,
      owner: tree.live ? { uid: 0, gid: 0 } : undefined,
      ...(tree.ignore === undefined
        ? {}
        : { filter: (relative, isDirectory) => !isExcluded(tree, path(relative), isDirectory()) }),
    });
  } catch (error) {
    throw signal.aborted
      ? signal.reason
      : new InvalidParameterError(`"${source}", which a cache mount begins with, cannot be copied`, error);
  } finally {
    for (const fd of [from, to, rootFd]) if (fd !== undefined) closeSync(fd);
  }
}

/** Mode and owner. What a client shows of its own folder counts as root's. */
function takeAttributes(tree: SourceTree, source: string, target: string): void {
  const rootFd = openDirectory(tree.path);
  let from: number | undefined;
  try {
    from = openInside(rootFd, source, O_DIRECTORY);
    const { mode, uid, gid } = fstatSync(from);
    chownSync(target, tree.live ? 0 : uid, tree.live ? 0 : gid);
    chmodSync(target, mode & 0o7777);
  } finally {
    for (const fd of [from, rootFd]) if (fd !== undefined) closeSync(fd);
  }
}

function secretText(id: string, content: Buffer): string {
  if (content.includes(0)) {
    throw new InvalidParameterError(
      `secret ${id} has a NUL byte in it, and cannot be an environment variable`,
    );
  }
  return content.toString('utf8');
}
