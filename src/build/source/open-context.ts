/**
 * From a context's specification to its tree, for main and named contexts alike: archives from the request's body, an upload
 * or an address, folders of this machine or of the client, repositories, layouts.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { InternalError, InvalidParameterError } from '../../base/errors.ts';
import { abortable } from '../../image/abortable.ts';
import { BLOCK_BYTES, checksumMatches } from '../../image/layers/tar/tar-format.ts';
import { detectArchiveCompression } from '../../image/layers/work/inflate-archive.ts';
import type { ContextSpec } from '../solve-request.ts';
import type { BuildSources, OpenedSource, OpenOptions, SourceIo } from './build-sources.ts';
import { ignorePatterns } from './context-ignore.ts';
import { readInside, TEXT_MAX_BYTES } from './inside-file.ts';
import type { SourceTree } from './source-tree.ts';

export async function openContext(
  sources: BuildSources,
  spec: ContextSpec,
  io: SourceIo,
  options: OpenOptions,
): Promise<OpenedSource> {
  switch (spec.kind) {
    case 'folder':
      return {
        tree: sources.openFolder(spec.path, options.title ?? spec.path, options.ignore ?? spec.dockerignore),
      };
    case 'tar': {
      if (io.body === undefined)
        throw new InvalidParameterError('the request has no build context in its body');
      return await fromStream(sources, io.body, options.title ?? 'build context', io);
    }
    case 'upload': {
      if (io.session === undefined) throw noSession(`upload ${spec.id}`);
      const body = await io.session.upload(spec.id, io.signal);
      return await fromStream(sources, body, options.title ?? 'build context', io);
    }
    case 'session':
      return { tree: await openClientFolder(sources, spec.name, io, options) };
    case 'git':
      return await sources.git.open(spec.url, options, io);
    case 'http':
      return await fromAddress(sources, spec.url, io, options);
    default:
      throw new InternalError(`a context of kind ${spec.kind} is no source of files by itself`);
  }
}

function noSession(what: string): InvalidParameterError {
  return new InvalidParameterError(`cannot load ${what}: the build has no session that could send it`);
}

/** A named context of the client's: its own `.dockerignore` first, then the rest. */
async function openClientFolder(
  sources: BuildSources,
  name: string,
  io: SourceIo,
  options: OpenOptions,
): Promise<SourceTree> {
  const title = options.title ?? name;
  const what = 'transferring context:';
  const first = await sources.folders.openCopy({ name, followPaths: ['.dockerignore'] }, title, what, io);
  let ignore: string | undefined;
  try {
    ignore = options.ignore ?? readInside(first.path, '.dockerignore');
  } finally {
    await first.release();
  }
  const exclude = ignore === undefined ? [] : ignorePatterns({ name: '.dockerignore', content: ignore });
  const request = {
    name,
    ...(exclude.length === 0 ? {} : { exclude }),
    ...(options.followPaths === undefined ? {} : { followPaths: options.followPaths }),
  };
  return await sources.folders.open(request, title, what, io);
}

/** What comes is an archive, or the text of a Dockerfile. */
async function fromStream(
  sources: BuildSources,
  body: AsyncIterable<Uint8Array>,
  title: string,
  io: SourceIo,
): Promise<OpenedSource> {
  const iterator = body[Symbol.asyncIterator]();
  // A client that sends nothing, and is not gone either, must not keep a build that has ended.
  const next = () => abortable(iterator.next(), io.signal);
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < BLOCK_BYTES) {
    const step = await next();
    if (step.done === true) break;
    first.push(step.value);
    length += step.value.length;
  }
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield* first;
    for (let step = await next(); step.done !== true; step = await next()) yield step.value;
  };
  if (isArchive(Buffer.concat(first).subarray(0, BLOCK_BYTES))) {
    return { tree: await sources.layers.openArchive(whole(), title, io.signal) };
  }
  return await dockerfileAlone(sources, whole(), title, io);
}

/** Nothing at all counts as an archive without entries, and so does one that has only its end. */
export function isArchive(head: Buffer): boolean {
  if (head.length === 0 || detectArchiveCompression(head) !== 'none') return true;
  return head.length === BLOCK_BYTES && (head.every((byte) => byte === 0) || checksumMatches(head));
}

async function dockerfileAlone(
  sources: BuildSources,
  body: AsyncIterable<Uint8Array>,
  title: string,
  io: SourceIo,
): Promise<OpenedSource> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    io.signal.throwIfAborted();
    length += chunk.length;
    if (length > TEXT_MAX_BYTES) {
      throw new InvalidParameterError(
        `${title} is neither an archive nor a Dockerfile: it has more than ${TEXT_MAX_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  const content = Buffer.concat(chunks);
  if (content.includes(0)) {
    throw new InvalidParameterError(`${title} is neither an archive that is known here nor a Dockerfile`);
  }
  const tree = sources.work.fileTree('Dockerfile', content, title);
  return { tree, dockerfile: content.toString('utf8') };
}

/** An address of an archive, or of a Dockerfile. */
async function fromAddress(
  sources: BuildSources,
  url: string,
  io: SourceIo,
  options: OpenOptions,
): Promise<OpenedSource> {
  const title = options.title ?? url;
  const fetched = await sources.downloads.fetch(
    url,
    { name: 'context', ...(options.pin === undefined ? {} : { checksum: options.pin }) },
    io,
  );
  try {
    const path = join(fetched.tree.path, fetched.name);
    const { material, epochSeconds } = fetched;
    const epoch = epochSeconds === undefined ? {} : { epochSeconds };
    if (isArchive(await headOf(path))) {
      const tree = await sources.layers.openArchive(path, title, io.signal);
      return { tree, material, ...epoch };
    }
    const opened = await dockerfileAlone(sources, createReadStream(path), title, io);
    return { ...opened, material, ...epoch };
  } finally {
    await fetched.tree.release();
  }
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
