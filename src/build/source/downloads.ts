/**
 * Files from http and https addresses, for ADD and for contexts: fetched once and asked about afterwards (ETag and
 * Last-Modified, RFC 9110, section 13), so that what has not changed is not transferred again. Redirects, proxies,
 * certificates and silence are the transport's (src/image/registry/transport.ts).
 */
import { createHash } from 'node:crypto';
import { existsSync, linkSync } from 'node:fs';
import { type FileHandle, open, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, InvalidParameterError, NotFoundError, UnavailableError } from '../../base/errors.ts';
import { bodyChunks, releaseBody } from '../../image/registry/body.ts';
import { TransportError } from '../../image/registry/errors.ts';
import type { ResolvedRegistryOptions } from '../../image/registry/options.ts';
import type { Transport, TransportResponse } from '../../image/registry/transport.ts';
import { now } from '../progress.ts';
import type { BuildMaterial } from '../solve/solved.ts';
import type { SourceIo } from './build-sources.ts';
import { fileNameOf } from './download-name.ts';
import { KeptFolders, keptWords } from './kept-folders.ts';
import type { SourceTree } from './source-tree.ts';
import type { WorkFolders } from './work-folders.ts';

export interface FetchFileOptions {
  /** `sha256:<hex>` that the content must have; where that is here already, nobody is asked. */
  checksum?: string;
  /** Instead of the name that the address or its server gives. */
  name?: string;
}

export interface FetchedFile {
  /** Has the file, and nothing else: mode 0600, and the time that its server says, or 0. */
  tree: SourceTree;
  name: string;
  /** `sha256:<hex>`. */
  digest: string;
  /** Seconds since 1970, where the server says it. */
  epochSeconds?: number;
  material: BuildMaterial;
}

export interface DownloadsOptions {
  /** `<data root>/build`. */
  directory: string;
  work: WorkFolders;
  transport: Pick<Transport, 'send'>;
  registry: Pick<ResolvedRegistryOptions, 'stallTimeoutMs'>;
}

const FILE = 'file';
const CHECKSUM = /^sha256:[0-9a-f]{64}$/;

/** What is remembered of a download. */
interface Facts {
  digest: string;
  etag: string;
  lastModified: string;
  disposition: string;
}

export class Downloads extends KeptFolders {
  readonly #options: DownloadsOptions;

  constructor(options: DownloadsOptions) {
    const { directory, work } = options;
    super({ directory: join(directory, 'downloads'), type: 'source.http', work });
    this.#options = options;
  }

  /**
   * Throws InvalidParameter for an address or checksum that is none and for content of another digest, NotFound and
   * Unavailable for what the server says.
   */
  async fetch(address: string, options: FetchFileOptions, io: SourceIo): Promise<FetchedFile> {
    const url = parseAddress(address);
    const { checksum } = options;
    if (checksum !== undefined && !CHECKSUM.test(checksum)) {
      throw new InvalidParameterError(`invalid checksum "${checksum}": expected sha256:<64 hex digits>`);
    }
    const isPublic = url.username === '' && url.password === '';
    const authorization = await authorizationOf(url, io);
    const secret = createHash('sha256').update(authorization).digest('hex');
    const words = keptWords(io.cacheNamespace, url.href, secret);
    const kept = await this.take(words, `http url ${shown(url)}`, io.signal);
    const path = join(kept.path, FILE);
    const known = existsSync(path) ? readFacts(kept.facts) : undefined;
    let facts: Facts;
    try {
      facts =
        known !== undefined && known.digest === checksum
          ? known
          : await this.#transfer(url, path, known, authorization, io);
    } catch (error) {
      if (known === undefined) await kept.drop();
      else kept.keep();
      throw translate(error);
    }
    try {
      if (checksum !== undefined && facts.digest !== checksum) {
        throw new InvalidParameterError(
          `digest mismatch for ${shown(url)}: ${facts.digest} (expected: ${checksum})`,
        );
      }
      return await this.#show(url, isPublic ? address : url.href, path, facts, options);
    } finally {
      kept.keep(facts === known ? undefined : { ...facts });
    }
  }

  /** A link to the file in a folder of the build's own: the store may forget it meanwhile. */
  async #show(
    url: URL,
    address: string,
    path: string,
    facts: Facts,
    options: FetchFileOptions,
  ): Promise<FetchedFile> {
    const folder = this.#options.work.create();
    const name = options.name ?? fileNameOf(url, facts.disposition);
    try {
      linkSync(path, join(folder.path, name));
    } catch (error) {
      await folder.release();
      throw error;
    }
    const time = Date.parse(facts.lastModified);
    return {
      tree: {
        path: folder.path,
        title: shown(url),
        times: 'uniform',
        live: false,
        release: folder.release,
      },
      name,
      digest: facts.digest,
      ...(Number.isNaN(time) ? {} : { epochSeconds: Math.floor(time / 1000) }),
      material: { kind: 'http', name: address, pin: facts.digest },
    };
  }

  async #transfer(
    url: URL,
    path: string,
    known: Facts | undefined,
    authorization: string,
    io: SourceIo,
  ): Promise<Facts> {
    const headers = {
      ...(authorization === '' ? {} : { Authorization: authorization }),
      ...(known === undefined ? {} : conditions(known)),
    };
    const { signal } = io;
    const answer = await this.#options.transport.send({
      method: 'GET',
      url,
      headers,
      insecureHosts: new Set(),
      signal,
    });
    const { status, statusText } = answer.response;
    if (status === 304 && known !== undefined) {
      releaseBody(answer.response);
      return known;
    }
    if (status < 200 || status >= 300) {
      releaseBody(answer.response);
      const text = `cannot fetch ${shown(url)}: invalid response status ${status} ${statusText}`.trim();
      throw status === 404 || status === 410 ? new NotFoundError(text) : new UnavailableError(text);
    }
    return await this.#store(answer, path, io);
  }

  /** The file is there whole, or as it was. */
  async #store(answer: TransportResponse, path: string, io: SourceIo): Promise<Facts> {
    const { headers } = answer.response;
    const { stallTimeoutMs } = this.#options.registry;
    const total = Number(headers.get('content-length') ?? 0);
    const temporary = `${path}.part`;
    await rm(temporary, { force: true });
    const hash = createHash('sha256');
    const file = await open(temporary, 'wx', 0o600);
    try {
      const started = now();
      let length = 0;
      let told = 0;
      const id = `downloading ${shown(answer.url)}`;
      for await (const chunk of bodyChunks(answer.response, {
        url: answer.url,
        stallTimeoutMs,
        signal: io.signal,
      })) {
        hash.update(chunk);
        await writeWhole(file, chunk);
        length += chunk.length;
        if (performance.now() - told < 100) continue;
        told = performance.now();
        io.vertex?.amount(id, length, total, false, started);
      }
      if (total > 0 && length !== total) {
        throw new UnavailableError(`cannot fetch ${shown(answer.url)}: ${length} of ${total} bytes came`);
      }
      io.vertex?.amount(id, length, total, true, started);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    const lastModified = headers.get('last-modified') ?? '';
    const time = Date.parse(lastModified);
    await utimes(temporary, 0, Number.isNaN(time) ? 0 : time / 1000);
    await rename(temporary, path);
    return {
      digest: `sha256:${hash.digest('hex')}`,
      etag: headers.get('etag') ?? '',
      lastModified,
      disposition: headers.get('content-disposition') ?? '',
    };
  }
}

async function writeWhole(file: FileHandle, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; ) at += (await file.write(data, at)).bytesWritten;
}

function parseAddress(address: string): URL {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.host === '') {
    throw new InvalidParameterError(`cannot fetch ${JSON.stringify(address)}: expected an http or https URL`);
  }
  return url;
}

/** Without what may be a secret. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** Without a validator the file is simply fetched again. */
function conditions({ etag, lastModified }: Facts): Record<string, string> {
  if (etag !== '') return { 'If-None-Match': etag };
  return lastModified === '' ? {} : { 'If-Modified-Since': lastModified };
}

function readFacts(facts: Readonly<Record<string, string>>): Facts | undefined {
  const { digest = '', etag = '', lastModified = '', disposition = '' } = facts;
  return CHECKSUM.test(digest) ? { digest, etag, lastModified, disposition } : undefined;
}

/** Names of secrets as BuildKit has them; user and password of the address come last. */
async function authorizationOf(url: URL, { session }: SourceIo): Promise<string> {
  const header = await session?.secret(`HTTP_AUTH_HEADER_${url.hostname}`);
  if (header !== undefined) return header.toString('utf8').trim();
  const token = await session?.secret(`HTTP_AUTH_TOKEN_${url.hostname}`);
  if (token !== undefined) return `Bearer ${token.toString('utf8').trim()}`;
  if (url.username === '' && url.password === '') return '';
  const words = `${decoded(url, url.username)}:${decoded(url, url.password)}`;
  url.username = '';
  url.password = '';
  return `Basic ${Buffer.from(words).toString('base64')}`;
}

function decoded(url: URL, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InvalidParameterError(
      `cannot fetch ${shown(url)}: its user or password is not percent-encoded`,
    );
  }
}

function translate(error: unknown): unknown {
  return error instanceof TransportError ? new UnavailableError(errorMessage(error), error) : error;
}
