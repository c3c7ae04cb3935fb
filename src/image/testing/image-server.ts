/**
 * A registry for tests on a loopback port that can be made to misbehave: every request passes `intercept` first,
 * which may answer it in any broken way it likes. What it does not answer is served correctly, ranges included.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Digest } from '../digest.ts';
import type { TestImage, TestIndex } from './image-builder.ts';

export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

interface StoredManifest {
  bytes: Buffer;
  mediaType: string;
}

export class ImageServer implements AsyncDisposable {
  readonly #server: Server;
  readonly blobs = new Map<string, Buffer>();
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests = new Map<string, StoredManifest>();
  readonly tags = new Map<string, string[]>();
  /** Method and URL of every request, in order. */
  readonly requests: string[] = [];
  readonly authorizations: (string | undefined)[] = [];
  /** Returns true where it answered. */
  intercept: Intercept = () => false;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => void this.#handle(request, response));
  }

  static async start(tls?: {
    cert: string;
    key: string;
    ca?: string;
    requestCert?: boolean;
  }): Promise<ImageServer> {
    const server =
      tls === undefined
        ? createServer()
        : createTlsServer({ ...tls, rejectUnauthorized: tls.requestCert ?? false });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ImageServer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Serves an image under a tag and its digest. */
  push(repository: string, tag: string, image: TestImage): void {
    for (const layer of image.layers) this.blobs.set(layer.digest, layer.blob);
    this.blobs.set(image.configDigest, image.config);
    this.setManifest(repository, tag, image.digest, image.manifest, image.mediaType);
  }

  pushIndex(repository: string, tag: string, index: TestIndex, images: TestImage[]): void {
    for (const image of images) this.push(repository, image.digest.slice(7, 19), image);
    this.setManifest(repository, tag, index.digest, index.bytes, index.mediaType);
  }

  setManifest(repository: string, tag: string, digest: Digest, bytes: Buffer, mediaType: string): void {
    this.manifests.set(`${repository}:${tag}`, { bytes, mediaType });
    this.manifests.set(`${repository}@${digest}`, { bytes, mediaType });
    this.tags.set(repository, [...new Set([...(this.tags.get(repository) ?? []), tag])]);
  }

  /** How often a blob was asked for. */
  blobRequests(digest: string): number {
    return this.requests.filter((line) => line.startsWith('GET ') && line.endsWith(`/blobs/${digest}`))
      .length;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method} ${request.url}`);
    this.authorizations.push(request.headers.authorization);
    if (await this.intercept(request, response)) return;
    this.serve(request, response);
  }

  /** The correct answer. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    const match = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/?]+)/.exec(request.url ?? '');
    const [, repository = '', kind = '', name = ''] = match ?? [];
    if (kind === 'manifests') this.#serveManifest(request, response, repository, name);
    else if (kind === 'blobs') this.#serveBlob(request, response, name);
    else if (kind === 'tags')
      response.end(JSON.stringify({ name: repository, tags: this.tags.get(repository) }));
    else refuse(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
  }

  #serveManifest(request: IncomingMessage, response: ServerResponse, repository: string, name: string): void {
    const found = this.manifests.get(`${repository}${name.includes(':') ? '@' : ':'}${name}`);
    if (found === undefined) {
      refuse(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      return;
    }
    const digest = [...this.manifests].find(
      ([key, value]) => value.bytes === found.bytes && key.includes('@'),
    )?.[0];
    response.writeHead(200, {
      'content-type': found.mediaType,
      'content-length': found.bytes.length,
      'docker-content-digest': digest?.split('@')[1] ?? '',
    });
    response.end(request.method === 'HEAD' ? undefined : found.bytes);
  }

  #serveBlob(request: IncomingMessage, response: ServerResponse, digest: string): void {
    const blob = this.blobs.get(digest);
    if (blob === undefined) {
      refuse(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
      return;
    }
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = blob.subarray(start);
    const range = start === 0 ? {} : { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` };
    response.writeHead(start === 0 ? 200 : 206, { 'content-length': part.length, ...range });
    response.end(part);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** An answer in the registries' error format. */
export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
