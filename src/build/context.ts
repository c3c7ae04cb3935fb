/**
 * The build context: the archive that a client sends, unpacked into a folder of the build's own. Nothing in it can
 * lead out of that folder.
 */
import { closeSync, fstatSync, mkdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { InvalidParameterError } from '../base/errors.ts';
import { Extractor } from '../image/layers/extractor.ts';
import type { TarEntry } from '../image/layers/tar/tar-format.ts';
import { TarReader, type TarSink } from '../image/layers/tar/tar-reader.ts';
import { detectCompression, inflate } from '../image/layers/work/inflate.ts';
import { ifThere, O_PATH, readableFile } from '../native/inside-root.ts';
import { openInRoot } from '../volume/copy-tree.ts';

const DOCKERFILE_MAX_BYTES = 16 * 1024 * 1024;

/** Unpacks a tar, compressed or not, into an existing directory. Throws InvalidParameter, naming the entry. */
export async function unpackArchive(
  source: AsyncIterable<Buffer>,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const { head, rest } = await peek(source, 512);
  const extractor = new Extractor(directory, { findHoles: false });
  const reader = new TarReader(new PlainNames(extractor));
  try {
    for await (const chunk of inflate(rest, detectCompression(head))) {
      signal.throwIfAborted();
      reader.push(chunk);
    }
    reader.finish();
    extractor.finish();
  } catch (error) {
    extractor.abort();
    throw error;
  }
}

/** Names with a meaning in layers have none in archives of files, and could not be stored in a layer. */
class PlainNames implements TarSink {
  readonly #next: TarSink;

  constructor(next: TarSink) {
    this.#next = next;
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number): void {
    if (entry.name.split('/').some((part) => part.startsWith('.wh.'))) {
      throw new InvalidParameterError(
        `archive entry "${entry.name}": names that begin with .wh. are reserved in images`,
      );
    }
    this.#next.entry(entry, body, offset);
  }

  data(chunk: Buffer, position: number): void {
    this.#next.data(chunk, position);
  }

  end(): void {
    this.#next.end();
  }
}

async function peek(
  source: AsyncIterable<Buffer>,
  bytes: number,
): Promise<{ head: Buffer; rest: AsyncIterable<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  let have = 0;
  while (have < bytes) {
    const next = await iterator.next();
    if (next.done === true) break;
    first.push(Buffer.from(next.value));
    have += next.value.length;
  }
  async function* rest() {
    yield* first;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      yield Buffer.from(next.value);
    }
  }
  return { head: Buffer.concat(first), rest: rest() };
}

/** Makes `directory` and unpacks the request's body into it. */
export async function receiveContext(body: Readable, directory: string, signal: AbortSignal): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  await unpackArchive(body, directory, signal);
}

/**
 * The text of the Dockerfile inside a context (default name `Dockerfile`, then `dockerfile`). Throws
 * InvalidParameter with Docker's text where there is none, or where it lies outside of the context.
 */
export function readDockerfile(context: string, name: string): string {
  const wanted = name === '' ? 'Dockerfile' : name;
  const inside = posix.normalize(wanted);
  if (inside === '..' || inside.startsWith('../')) {
    throw new InvalidParameterError(`the Dockerfile (${wanted}) must be within the build context`);
  }
  const text =
    readText(context, inside) ??
    (name === '' || name === 'Dockerfile' ? readText(context, 'dockerfile') : undefined);
  if (text === undefined) {
    throw new InvalidParameterError(`Cannot locate specified Dockerfile: ${wanted}`);
  }
  if (text.trim() === '') throw new InvalidParameterError(`the Dockerfile (${wanted}) cannot be empty`);
  return text;
}

/** A regular file inside `root`; undefined where there is none. Nothing else is opened: devices act when they are. */
export function readText(root: string | number, path: string): string | undefined {
  const pathFd = ifThere(() => openInRoot(root, path, O_PATH));
  const fd = pathFd === undefined ? undefined : readableFile(pathFd);
  if (fd === undefined) return undefined;
  try {
    const { size } = fstatSync(fd);
    if (size > DOCKERFILE_MAX_BYTES) {
      throw new InvalidParameterError(`${path} has ${size} bytes, more than ${DOCKERFILE_MAX_BYTES}`);
    }
    return readFileSync(fd).toString('utf8');
  } finally {
    closeSync(fd);
  }
}
