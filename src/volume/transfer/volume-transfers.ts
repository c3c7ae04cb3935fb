/**
 * Volumes as a whole, in and out, while containers use them: export to a tar, import of one, clone. Every file is as it
 * was at one moment; files that containers write to meanwhile may be of different moments. What fails or is given up
 * leaves nothing behind, but for an import that merges: what it has written by then stays.
 */

import { randomUUID } from 'node:crypto';
import { closeSync, existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Volume, VolumeCloneRequest } from '../../api/volumes.ts';
import { ConflictError, EngineError, errnoCode, errorMessage, UnavailableError } from '../../base/errors.ts';
import { step, stepSync } from '../../base/steps.ts';
import type { EventBus } from '../../events/event-bus.ts';
import { copyTree, openDirectory } from '../copy-tree.ts';
import { applySizeLimit, liftSizeLimit, shareSizeLimit, sizeLimitOf, suspendSizeLimit } from '../quota.ts';
import { isEmptyFolder } from '../volume-filling.ts';
import type { HoldKind } from '../volume-holds.ts';
import { checkVolumeName } from '../volume-name.ts';
import type { VolumeStore } from '../volume-store.ts';
import { compressedOutput, type ExportCompression } from './compressed-output.ts';
import { bringEntries, discard, makeStaging, publishVolume, sweepStaging } from './staging.ts';
import { runTransfer } from './transfer-thread.ts';

export class VolumeTransfers {
  readonly #store: VolumeStore;
  readonly #root: string;
  readonly #events: EventBus;
  /** Volumes that are about to be made. */
  readonly #reserved = new Set<string>();

  /** `root` is the store's: `<data root>/volumes`. */
  constructor({ store, root, events }: { store: VolumeStore; root: string; events: EventBus }) {
    this.#store = store;
    this.#root = root;
    this.#events = events;
  }

  /** Finishes and removes what a crash has left. Before anything else uses the volumes, behind the store's own sweep. */
  async sweep(): Promise<void> {
    await sweepStaging(this.#root, this.#store);
  }

  /**
   * Gives the volume as a tar: sorted, with owners, times to the nanosecond, extended attributes, hard links, devices
   * and holes; sockets are left out. `begin` is called once the volume is there, and what it returns takes the bytes.
   * Throws NotFound.
   */
  async export(
    name: string,
    compression: ExportCompression,
    begin: () => (chunk: Buffer) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#withContent(name, { kind: 'read', verb: 'export', doing: 'exported' }, async (path) => {
      const output = compressedOutput(compression, begin());
      try {
        await runTransfer({ kind: 'pack', path }, { onOutput: (chunk) => output.write(chunk) }, signal);
        await output.finish();
      } finally {
        output.abort();
      }
      this.#tell('export', name);
    });
  }

  /**
   * Unpacks a tar (gzip, zstd or neither) into the volume, which is made where it is missing. One that has content is
   * refused, unless `merge` says that entries are to take the place of what is there. The volume is the archive's whole
   * world: nothing of it leads out. Throws Conflict, InvalidParameter for what is no such archive.
   */
  async import(
    name: string,
    archive: AsyncIterable<Buffer>,
    options: { merge: boolean },
    signal: AbortSignal,
  ): Promise<Volume> {
    if (this.#store.has(name)) await this.#importInto(name, archive, options, signal);
    else {
      await this.#makeVolume('import', name, {}, async (data) => {
        await step('volume-import/unpack', name, () =>
          unpack({ volume: name, path: data, budgetBytes: undefined }, archive, signal),
        );
      });
    }
    this.#tell('import', name);
    return this.#store.get(name);
  }

  async #importInto(
    name: string,
    archive: AsyncIterable<Buffer>,
    { merge }: { merge: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#withContent(name, { kind: 'write', verb: 'import', doing: 'imported' }, async (path) => {
      const limit = sizeLimitOf(path);
      const budgetBytes = limit === undefined ? undefined : Math.max(0, limit.limitBytes - limit.usedBytes);
      if (!merge) await requireEmpty(name, path);
      // Content of another file system cannot be put together beside it.
      if (merge || this.#store.isMountable(name)) {
        await step('volume-import/merge', name, () =>
          unpack({ volume: name, path, budgetBytes }, archive, signal),
        );
        return;
      }
      await this.#withStaging(this.#store.folder(name), async ({ data, folder }) => {
        await copyAttributes(path, data);
        shareSizeLimit(data, path);
        await step('volume-import/unpack', name, () =>
          unpack({ volume: name, path: data, budgetBytes }, archive, signal),
        );
        await requireEmpty(name, path);
        await step('volume-import/entries', name, () =>
          bringEntries(this.#store.folder(name), basename(folder)),
        );
      });
    });
  }

  /**
   * Makes a volume with the content of another: shared where the file system can (btrfs, xfs), else copied. It is there
   * whole or not at all, has a size limit where the other has one, and is a plain folder whatever the other is. Throws
   * NotFound, Conflict where the name is taken.
   */
  async clone(name: string, request: VolumeCloneRequest, signal: AbortSignal): Promise<Volume> {
    await this.#withContent(name, { kind: 'read', verb: 'clone', doing: 'cloned' }, async (path) => {
      const sizeBytes = this.#store.sizeLimitBytes(name);
      const made = { labels: request.Labels ?? {}, sizeBytes };
      await this.#makeVolume('clone', request.Name, made, async (data) => {
        await step('volume-clone/copy', request.Name, () =>
          runTransfer({ kind: 'copy', from: path, to: data }, {}, signal),
        );
      });
    });
    this.#tell('clone', request.Name, { source: name });
    return this.#store.get(request.Name);
  }

  async #makeVolume(
    verb: string,
    name: string,
    { labels = {}, sizeBytes = 0 }: { labels?: Record<string, string>; sizeBytes?: number },
    fill: (data: string) => Promise<void>,
  ): Promise<void> {
    checkVolumeName(name);
    const folder = this.#store.folder(name);
    const requireFree = (): void => {
      if (this.#store.has(name))
        throw new ConflictError(`${verb} ${name}: a volume of this name exists already`);
      if (existsSync(folder)) throw new ConflictError(`${verb} ${name}: ${folder} is there already`);
    };
    requireFree();
    if (this.#reserved.has(name)) {
      throw new ConflictError(`${verb} ${name}: a volume of this name is being made`);
    }
    this.#reserved.add(name);
    try {
      await this.#withStaging(this.#root, async (staging) => {
        if (sizeBytes > 0) {
          applySizeLimit(name, staging.data, sizeBytes);
          // Sharing the content of a full volume needs room for a moment (xfs); the limit comes with the name.
          suspendSizeLimit(staging.data);
        }
        try {
          await fill(staging.data);
          requireFree();
          publishVolume(staging.folder, folder, () => {
            const options = sizeBytes > 0 ? { size: String(sizeBytes) } : {};
            this.#store.create({ Name: name, Labels: labels, DriverOpts: options });
          });
        } catch (error) {
          if (sizeBytes > 0) liftSizeLimit(staging.data);
          throw error;
        }
      });
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** What is still there of the staging folder goes, also where that is all of it. */
  async #withStaging(
    parent: string,
    use: (staging: { folder: string; data: string }) => Promise<void>,
  ): Promise<void> {
    const staging = stepSync('volume-staging/folder', parent, () => makeStaging(parent));
    try {
      await use(staging);
    } finally {
      await step('volume-staging/discard', parent, () => discard(staging.folder));
    }
  }

  /** With what the volume's options name mounted. */
  async #withContent(
    name: string,
    hold: { kind: HoldKind; verb: string; doing: string },
    use: (path: string) => Promise<void>,
  ): Promise<void> {
    this.#store.get(name);
    const letGo = this.#store.holds.hold(name, hold.kind, hold.verb, hold.doing);
    const user = `${hold.verb}-${randomUUID()}`;
    try {
      await this.#store.mount(name, user);
      try {
        await use(this.#store.path(name));
      } catch (error) {
        throw explained(error, `${hold.verb} ${name}`);
      } finally {
        await this.#store.release([name], user);
      }
    } finally {
      letGo();
    }
  }

  #tell(action: string, name: string, attributes: Record<string, string> = {}): void {
    this.#events.publish('volume', action, name, { driver: 'local', ...attributes });
  }
}

async function unpack(
  { path, budgetBytes, volume }: { volume: string; path: string; budgetBytes: number | undefined },
  archive: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await runTransfer({ kind: 'unpack', path, budgetBytes }, { input: archive }, signal);
  } catch (error) {
    throw explained(error, `import ${volume}`);
  }
}

/** A full disk, or a full volume, is no fault of the request. */
export function explained(error: unknown, action: string): unknown {
  if (error instanceof Error && error.message.startsWith(`${action}: `)) return error;
  const code = errnoCode(error);
  const text = `${action}: ${errorMessage(error)}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new UnavailableError(text);
  return error instanceof EngineError && !(error instanceof ConflictError)
    ? new EngineError(error.kind, text)
    : error;
}

async function requireEmpty(name: string, path: string): Promise<void> {
  if (await isEmptyFolder(path)) return;
  throw new ConflictError(`import ${name}: volume is not empty: merge into it, or import into another`);
}

async function copyAttributes(from: string, to: string): Promise<void> {
  const fds = [openDirectory(from), openDirectory(to)];
  const [source = -1, target = -1] = fds;
  try {
    await copyTree(source, target, { root: true, filter: () => false });
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
