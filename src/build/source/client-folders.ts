/**
 * Folders of clients, as their sessions send them: kept between builds, so that the next one transfers only what has
 * changed. A build that finds the folder of its context in use gets a copy of its own, which goes when it is done.
 */
import { join } from 'node:path';
import { InvalidParameterError } from '../../base/errors.ts';
import { now } from '../progress.ts';
import type { FolderRequest } from '../session.ts';
import type { SourceIo } from './build-sources.ts';
import { KeptFolders, keptWords } from './kept-folders.ts';
import type { SourceTree } from './source-tree.ts';
import type { WorkFolders } from './work-folders.ts';

export class ClientFolders extends KeptFolders {
  readonly #work: WorkFolders;

  constructor(directory: string, work: WorkFolders) {
    super({ directory: join(directory, 'contexts'), type: 'source.local', work });
    this.#work = work;
  }

  /**
   * Brings a folder of the session's client here. `what`: the amount's name in progress. Rejects with
   * InvalidParameter where the build has no session, or its client no such folder.
   */
  async open(request: FolderRequest, title: string, what: string, io: SourceIo): Promise<SourceTree> {
    const sharedKey = io.session?.sharedKey ?? '';
    const kept =
      sharedKey === ''
        ? undefined
        : this.tryTake(
            keptWords(io.cacheNamespace, sharedKey, request.name),
            `local source for ${request.name}`,
          );
    if (kept === undefined) return await this.openCopy(request, title, what, io);
    try {
      const received = await receive(request, kept.path, title, what, io);
      const keep = (): void => kept.keep(received > 0 ? { name: request.name } : undefined);
      return sessionTree(kept.path, title, async () => keep());
    } catch (error) {
      // Half of a folder is as good a start for the next transfer as any; one that is broken would fail for ever.
      if (io.signal.aborted) kept.keep({ name: request.name });
      else await kept.drop();
      throw error;
    }
  }

  /** The same, for this build alone: also for what is small, and would take the place of what is kept. */
  async openCopy(request: FolderRequest, title: string, what: string, io: SourceIo): Promise<SourceTree> {
    const folder = this.#work.create();
    try {
      await receive(request, folder.path, title, what, io);
    } catch (error) {
      await folder.release();
      throw error;
    }
    return sessionTree(folder.path, title, () => folder.release());
  }
}

/** Nobody changes it meanwhile, but what stat says of it lasts from build to build. */
function sessionTree(path: string, title: string, letGo: () => Promise<void>): SourceTree {
  let released: Promise<void> | undefined;
  return {
    path,
    title,
    times: 'uniform',
    live: true,
    release: () => {
      released ??= letGo();
      return released;
    },
  };
}

/** Returns how many files came. */
async function receive(
  request: FolderRequest,
  directory: string,
  title: string,
  what: string,
  { session, signal, vertex }: SourceIo,
): Promise<number> {
  if (session === undefined) {
    throw new InvalidParameterError(`cannot load ${title}: the build has no session that could send it`);
  }
  const started = now();
  let last = { bytes: 0, files: 0 };
  const tell = (done: boolean): void => vertex?.amount(what, last.bytes, 0, done, started);
  await session.syncFolder(request, directory, {
    signal,
    onProgress: (received) => {
      last = received;
      tell(false);
    },
  });
  tell(true);
  return last.files;
}
