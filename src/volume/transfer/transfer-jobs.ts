/** The work of a transfer's thread, one function a job. What a failed job leaves is the caller's to remove. */
import { closeSync, constants, fstatSync, openSync, readdirSync, renameSync } from 'node:fs';
import { InvalidParameterError, UnavailableError } from '../../base/errors.ts';
import { packTree } from '../../container/archive/pack.ts';
import { type ArchiveSink, readArchive } from '../../container/archive/read-archive.ts';
import { ContainerUnpacker } from '../../container/archive/unpack.ts';
import { archiveAddon } from '../../image/layers/native-archive.ts';
import { byteString } from '../../image/layers/tar/byte-string.ts';
import type { TarEntry } from '../../image/layers/tar/tar-format.ts';
import { at, copyTree, openDirectory, setTimes } from '../copy-tree.ts';
import type { TransferJob } from './transfer-protocol.ts';

/** How a job reaches the main thread. */
export interface TransferContext {
  signal: AbortSignal;
  /** The archive that is unpacked. */
  input(): AsyncIterable<Buffer>;
  /** Takes the archive that is packed; resolves when there is room for more. */
  output(chunk: Buffer): Promise<void>;
}

export async function runTransferJob(job: TransferJob, context: TransferContext): Promise<void> {
  switch (job.kind) {
    case 'pack':
      return await withDirectories([job.path], async ([parentFd = -1]) => {
        const source = { parentFd, base: '.', name: '.', sparse: true };
        await packTree(source, (chunk) => context.output(chunk), context.signal);
      });
    case 'unpack':
      await withDirectories([job.path], async ([fd = -1]) => unpack(fd, job.budgetBytes, context));
      return sync(job.path);
    case 'copy':
      await withDirectories([job.from, job.to], async ([from = -1, to = -1]) => {
        await copyTree(from, to, { root: true, signal: context.signal });
      });
      return sync(job.to);
    case 'move':
      await withDirectories([job.from, job.to], async ([from = -1, to = -1]) => {
        const { mtimeNs } = fstatSync(from, { bigint: true });
        for (const name of readdirSync(at(from), { encoding: 'buffer' })) {
          renameSync(at(from, name), at(to, name));
        }
        if (!job.attributes) return;
        await copyTree(from, to, { root: true, filter: () => false });
        // The renames have changed it.
        setTimes(at(to, '.'), mtimeNs);
      });
      return sync(job.to);
    case 'remove':
      archiveAddon().archiveRemoveTree(byteString(job.path));
  }
}

/** What is published by a rename afterwards must be on disk before it. */
function sync(path: string): void {
  archiveAddon().archiveSync(byteString(path));
}

async function withDirectories(paths: string[], use: (fds: number[]) => Promise<void>): Promise<void> {
  const fds: number[] = [];
  try {
    for (const path of paths) fds.push(openDirectory(path));
    await use(fds);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

async function unpack(
  fd: number,
  budgetBytes: number | undefined,
  { signal, input }: TransferContext,
): Promise<void> {
  // The volume is the whole world of the archive: links, absolute ones too, lead to places inside of it.
  const rootFd = openSync(at(fd, '.'), constants.O_RDONLY | constants.O_DIRECTORY);
  const unpacker = new ContainerUnpacker({
    rootFd,
    path: '/',
    noOverwriteDirNonDir: false,
    owner: undefined,
  });
  try {
    const sink = budgetBytes === undefined ? unpacker : new BudgetSink(unpacker, budgetBytes);
    if (!(await readArchive(input(), sink, signal))) throw new InvalidParameterError('the archive is empty');
  } finally {
    unpacker.close();
    closeSync(rootFd);
  }
}

/** Ends an archive that does not fit: the quotas of some file systems do not bind root. */
class BudgetSink implements ArchiveSink {
  readonly #sink: ArchiveSink;
  readonly #budgetBytes: number;
  #left: number;

  constructor(sink: ArchiveSink, budgetBytes: number) {
    this.#sink = sink;
    this.#budgetBytes = budgetBytes;
    this.#left = budgetBytes;
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number, contentOffset?: number): void {
    this.#take(body?.length ?? 0);
    this.#sink.entry(entry, body, offset, contentOffset);
  }

  data(chunk: Buffer, position: number): void {
    this.#take(chunk.length);
    this.#sink.data(chunk, position);
  }

  end(): void {
    this.#sink.end();
  }

  finish(): void {
    this.#sink.finish();
  }

  #take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left >= 0) return;
    throw new UnavailableError(
      `the archive does not fit: the volume's size limit leaves room for ${this.#budgetBytes} bytes`,
    );
  }
}
