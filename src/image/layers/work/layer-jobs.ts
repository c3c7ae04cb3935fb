/**
 * The work of a layer worker, one function a job: files in, an unpacked directory and a blob out. Everything that is
 * left half done after a failure is the caller's to remove.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { InternalError, InvalidParameterError } from '../../../base/errors.ts';
import { STATE_COUNT } from '../../../native/tree.ts';
import { mountImage } from '../erofs/image-mount.ts';
import { checkIndex, mergeImage } from '../erofs/merged-image.ts';
import { openTarget, type TargetOptions } from '../layer-target.ts';
import { archiveAddon } from '../native-archive.ts';
import { type LayerCompression, type LayerFileRun, RUN_NUMBERS } from '../snapshotter.ts';
import { type ByteString, byteString, printable } from '../tar/byte-string.ts';
import { readTreeFile, readTreeFiles } from '../tree-content.ts';
import { DIGEST_BYTES, digestTreeFiles } from '../tree-digests.ts';
import { writeContent, writeTree } from '../tree-walk.ts';
import { ExpansionLimit } from './expansion-limit.ts';
import type { FileExtent } from './growing-file.ts';
import { detectCompression, inflate } from './inflate.ts';
import { detectArchiveCompression, inflateArchive } from './inflate-archive.ts';
import { LayerOutput, TarChunks } from './layer-output.ts';
import {
  type EntrySource,
  type InputItem,
  type Job,
  type JobResult,
  type NewLayer,
  NO_RESULT,
} from './worker-protocol.ts';

const READ_BYTES = 256 * 1024;
const PROGRESS_MS = 100;
/** Small files are read many at a time. */
const RUN_READ_BYTES = 1024 * 1024;
const TURN_MS = 50;
const TURN_BYTES = 4 * 1024 * 1024;
/** A small file costs as much time as so many bytes. */
const FILE_COST_BYTES = 8 * 1024;
/** What the compression is told by. */
const HEAD_BYTES = 8;

/** How a job reaches the main thread. */
export interface JobContext {
  signal: AbortSignal;
  progress(consumedBytes: number): void;
  /** The job's input, until its `finish` item. */
  input(): AsyncIterable<InputItem>;
  /** Resolves when there is room for more. */
  output(chunk: Buffer): Promise<void>;
  /** Resolves when the job's growing blob reaches further than this, or is whole. */
  grown(consumedBytes: number): Promise<FileExtent>;
}

export async function runJob(job: Job, context: JobContext): Promise<JobResult> {
  switch (job.kind) {
    case 'add':
      return addLayer(job, context);
    case 'tar':
      return await newLayer(job.layer, context, (output) => copyTar(job, output, context), {
        findHoles: job.files,
        plainFiles: job.files,
      });
    case 'create':
      return await newLayer(job.layer, context, (output) => createTar(output, context), { findHoles: true });
    case 'commit':
      return await newLayer(job.layer, context, (output) => commitTree(job, output), { findHoles: true });
    case 'export':
      await exportTree(job.directory, job.withRoot, context);
      return NO_RESULT;
    case 'merge':
      mergeImage(job.layers, job.directory);
      return NO_RESULT;
    case 'check':
      checkIndex(job.index, job.name);
      return NO_RESULT;
    case 'mount':
      mountImage(job.method, job.files, job.target);
      return NO_RESULT;
    case 'hash':
      return await hashFiles(job, context);
    case 'remove':
      archiveAddon().archiveRemoveTree(byteString(job.path), job.stop);
      return NO_RESULT;
    case 'sync':
      archiveAddon().archiveSync(byteString(job.path));
      return NO_RESULT;
  }
}

async function addLayer(job: Extract<Job, { kind: 'add' }>, context: JobContext): Promise<JobResult> {
  // Compressed zeros are small to send, and must not be large to keep.
  const target = openTarget(job.target, { findHoles: true });
  try {
    const hash = createHash('sha256');
    for await (const chunk of inflateFile(job.blobPath, job, context)) {
      context.signal.throwIfAborted();
      hash.update(chunk);
      target.write(chunk);
    }
    const facts = target.finish();
    const diffId = `sha256:${hash.digest('hex')}`;
    if (diffId !== job.diffId) {
      throw new InvalidParameterError(`layer ${job.diffId}: its uncompressed content is ${diffId}`);
    }
    return { diffId, ...facts };
  } catch (error) {
    target.abort();
    throw error;
  }
}

interface FileReading {
  compression: LayerCompression | 'detect';
  /** How far a file that is still being written reaches. */
  extent?: FileExtent;
}

/** Inflates a file. Each chunk is valid only until the next one is asked for. */
async function* inflateFile(
  path: string,
  { compression, extent }: FileReading,
  context: JobContext,
): AsyncGenerator<Buffer, void, undefined> {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    const { head, rest } = await peek(readFile(fd, extent, context), HEAD_BYTES);
    yield* inflate(rest, compression === 'detect' ? detectCompression(head) : compression, { reuse: true });
  } finally {
    closeSync(fd);
  }
}

/** A file's chunks, from its start, all in one buffer. Reads block: they come from the page cache or a local disk. */
async function* readFile(
  fd: number,
  growing: FileExtent | undefined,
  context: JobContext,
): AsyncGenerator<Buffer, void, undefined> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let extent = growing ?? { availableBytes: Number.POSITIVE_INFINITY, isWhole: true };
  let position = 0;
  let reported = performance.now();
  for (;;) {
    /* Nothing else on this thread waits for anything, so this is when an abort is heard. */
    await turn();
    context.signal.throwIfAborted();
    if (position >= extent.availableBytes) {
      if (extent.isWhole) break;
      extent = await context.grown(position);
      continue;
    }
    const length = readSync(fd, buffer, 0, Math.min(READ_BYTES, extent.availableBytes - position), position);
    if (length === 0) {
      if (growing !== undefined) throw new InternalError('the layer became shorter while it was read');
      break;
    }
    position += length;
    if (performance.now() - reported >= PROGRESS_MS) {
      context.progress(position);
      reported = performance.now();
    }
    yield buffer.subarray(0, length);
  }
  context.progress(position);
}

/** Stores, and compresses where that is wanted, what `write` hands to the output. */
async function newLayer(
  layer: NewLayer,
  context: JobContext,
  write: (output: (chunk: Buffer) => Promise<void>) => Promise<void>,
  options: TargetOptions,
): Promise<JobResult> {
  const target = openTarget(layer.target, options);
  let output: LayerOutput | undefined;
  try {
    const made = new LayerOutput(target, layer.blob);
    output = made;
    let turnAt = performance.now() + TURN_MS;
    await write(async (chunk) => {
      if (performance.now() >= turnAt) {
        /* When an abort is heard. */
        await turn();
        turnAt = performance.now() + TURN_MS;
      }
      context.signal.throwIfAborted();
      await made.write(chunk);
    });
    const facts = target.finish();
    return { ...(await made.finish()), ...facts };
  } catch (error) {
    output?.abort();
    target.abort();
    throw error;
  }
}

/** Archives of clients may be compressed in more ways than layers are. */
async function copyTar(
  { tarPath, files }: Extract<Job, { kind: 'tar' }>,
  output: (chunk: Buffer) => Promise<void>,
  context: JobContext,
): Promise<void> {
  const fd = tarPath === undefined ? undefined : openSync(tarPath, constants.O_RDONLY);
  try {
    const source = fd === undefined ? inputChunks(context) : readFile(fd, undefined, context);
    const { head, rest } = await peek(source, HEAD_BYTES);
    const compression = detectArchiveCompression(head);
    const limit = files && compression !== 'none' ? new ExpansionLimit('archive') : undefined;
    const counted = async function* (): AsyncGenerator<Buffer, void, undefined> {
      for await (const chunk of rest) {
        limit?.took(chunk.length);
        yield chunk;
      }
    };
    for await (const chunk of inflateArchive(counted(), compression)) {
      limit?.gave(chunk.length, compression);
      // What was read from a file is in a buffer that is used again.
      await output(fd !== undefined && compression === 'none' ? Buffer.from(chunk) : chunk);
    }
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

async function* inputChunks(context: JobContext): AsyncGenerator<Buffer, void, undefined> {
  for await (const item of context.input()) {
    if (item.type === 'chunk') yield asBuffer(item.data);
  }
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** The first bytes of a stream, and the stream with them. */
async function peek(
  source: AsyncGenerator<Buffer, void, undefined>,
  length: number,
): Promise<{ head: Buffer; rest: AsyncIterable<Buffer> }> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < length) {
    const step = await source.next();
    if (step.done === true) break;
    head = Buffer.concat([head, step.value]);
  }
  const rest = async function* (): AsyncGenerator<Buffer, void, undefined> {
    if (head.length > 0) yield head;
    yield* source;
  };
  return { head, rest: rest() };
}

async function createTar(output: (chunk: Buffer) => Promise<void>, context: JobContext): Promise<void> {
  const chunks = new TarChunks(output);
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let many: Buffer | undefined;
  for await (const item of context.input()) {
    if (item.type === 'chunk') chunks.tar.data(asBuffer(item.data));
    else if (item.type === 'entry' && item.source !== undefined) {
      await writeSource(item.header, item.source, chunks, buffer);
    } else if (item.type === 'entry') chunks.tar.entry(item.header);
    else if (item.type === 'files') {
      many ??= Buffer.allocUnsafeSlow(RUN_READ_BYTES);
      await writeRun(item.run, chunks, many);
    }
    if (chunks.isFull) await chunks.flush();
  }
  await chunks.finish();
}

async function writeSource(
  header: Extract<InputItem, { type: 'entry' }>['header'],
  source: EntrySource,
  chunks: TarChunks,
  buffer: Buffer,
): Promise<void> {
  if ('file' in source) {
    chunks.tar.entry({ ...header, size: source.file.state[0] ?? 0 });
    await readTreeFile(source.file, buffer, async (piece) => {
      chunks.tar.data(piece);
      await chunks.flush();
    });
    return;
  }
  const fd = 'fd' in source ? source.fd : openSource(source.path);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile())
      throw new InvalidParameterError(`${printable(header.name)}: its source is no regular file`);
    await writeContent(chunks.tar, { ...header, size: stat.size }, fd, buffer, chunks.flush);
  } finally {
    closeSync(fd);
  }
}

async function writeRun(run: LayerFileRun, chunks: TarChunks, buffer: Buffer): Promise<void> {
  const { to, states, numbers, seconds } = run;
  const names = asBuffer(run.names).toString('latin1').split('\0');
  const { mode, uid, gid, nanoseconds, count } = RUN_NUMBERS;
  let next = 0;
  const headersUpTo = (end: number): void => {
    for (; next < end; next++) {
      const name = names[next] ?? '';
      const at = next * count;
      chunks.tar.entry({
        name: (to === '' ? name : `${to}/${name}`) as ByteString,
        type: 'file',
        mode: numbers[at + mode] ?? 0,
        uid: numbers[at + uid] ?? 0,
        gid: numbers[at + gid] ?? 0,
        size: states[next * STATE_COUNT] ?? 0,
        mtimeSec: seconds[next] ?? 0,
        mtimeNsec: numbers[at + nanoseconds] ?? 0,
      });
    }
  };
  await readTreeFiles(run, buffer, (index, piece) => {
    headersUpTo(index + 1);
    chunks.tar.data(piece);
    return chunks.isFull ? chunks.flush() : undefined;
  });
  headersUpTo(seconds.length);
}

function openSource(path: string | Uint8Array): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  return openSync(typeof path === 'string' ? path : asBuffer(path), flags);
}

async function hashFiles(job: Extract<Job, { kind: 'hash' }>, context: JobContext): Promise<JobResult> {
  const count = job.runs.reduce((sum, { states }) => sum + states.length / STATE_COUNT, 0);
  const digests = Buffer.alloc(count * DIGEST_BYTES);
  const buffer = Buffer.allocUnsafeSlow(RUN_READ_BYTES);
  const rootFd = openSync(job.root, constants.O_RDONLY | constants.O_DIRECTORY);
  let since = 0;
  const hearAbort = async (): Promise<void> => {
    since = 0;
    await turn();
    context.signal.throwIfAborted();
  };
  try {
    let at = 0;
    for (const run of job.runs) {
      await digestTreeFiles({ ...run, rootFd }, buffer, digests, at, (bytes) => {
        since += bytes + FILE_COST_BYTES;
        return since < TURN_BYTES ? undefined : hearAbort();
      });
      at += (run.states.length / STATE_COUNT) * DIGEST_BYTES;
    }
  } finally {
    closeSync(rootFd);
  }
  return { ...NO_RESULT, digests };
}

async function commitTree(
  { upper, exclude }: Extract<Job, { kind: 'commit' }>,
  output: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  const chunks = new TarChunks(output);
  await writeTree(chunks.tar, upper, chunks.flush, { exclude });
  await chunks.finish();
}

async function exportTree(directory: string, withRoot: boolean, context: JobContext): Promise<void> {
  const chunks = new TarChunks(async (chunk) => {
    context.signal.throwIfAborted();
    await context.output(chunk);
  });
  await writeTree(chunks.tar, directory, chunks.flush, { withRoot });
  await chunks.finish();
}
