/**
 * A registry for tests that takes pushes into memory and can be made to misbehave: every request passes `intercept`
 * first. Uploads are sessions that keep what has arrived of a broken connection; manifests are refused while something
 * that they name is missing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf } from '../digest.ts';
import { refuse } from './image-server.ts';

export interface UploadRequest {
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  /** Bytes of the body that were read. */
  bodyBytes: number;
}

export class UploadServer implements AsyncDisposable {
  readonly #server: Server;
  /** By `repository digest`. */
  readonly blobs = new Map<string, Buffer>();
  /** By `repository tag` and `repository digest`. */
  readonly manifests = new Map<string, { bytes: Buffer; mediaType: string }>();
  /** What has arrived of each upload. */
  readonly uploads = new Map<string, Buffer>();
  readonly requests: UploadRequest[] = [];
  /** Returns true where it answered. Bodies are still unread. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean> = () => false;
  /** Breaks the connection after this many bytes of a PATCH, for the first `times`. */
  cut = { afterBytes: 0, times: 0 };
  /** Put in front of upload paths in Location headers. */
  locationBase = '';

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      this.#handle(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(): Promise<UploadServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new UploadServer(server);
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Methods of the requests whose path matches, in order. */
  methods(path: RegExp): string[] {
    return this.requests.filter((request) => path.test(request.path)).map(({ method }) => method);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${this.host}`);
    const { headers, method = '' } = request;
    const seen = { method, path: url.pathname, query: url.searchParams, headers, bodyBytes: 0 };
    this.requests.push(seen);
    if (await this.intercept(request, response)) return;
    const match = /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/([^/]*)$/.exec(url.pathname);
    const [, repository = '', kind = '', name = ''] = match ?? [];
    if (kind === 'blobs/uploads') await this.#upload(request, response, repository, name, seen);
    else if (kind === 'manifests') await this.#manifest(request, response, repository, name);
    else if (kind === 'blobs') this.#blob(response, repository, name);
    else refuse(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
  }

  #blob(response: ServerResponse, repository: string, digest: string): void {
    const blob = this.blobs.get(`${repository} ${digest}`);
    if (blob === undefined) refuse(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    else {
      response.writeHead(200, { 'content-length': blob.length, 'docker-content-digest': digest });
      response.end(blob);
    }
  }

  async #manifest(
    request: IncomingMessage,
    response: ServerResponse,
    repository: string,
    name: string,
  ): Promise<void> {
    const found = this.manifests.get(`${repository} ${name}`);
    if (request.method !== 'PUT') {
      if (found === undefined) return refuse(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
      response.writeHead(200, {
        'content-type': found.mediaType,
        'docker-content-digest': digestOf(found.bytes),
      });
      response.end(found.bytes);
      return;
    }
    const bytes = Buffer.concat(await request.toArray());
    const missing = namedBy(bytes).filter(
      ({ digest, manifest }) => !(manifest ? this.manifests : this.blobs).has(`${repository} ${digest}`),
    );
    if (missing.length > 0) {
      return refuse(
        response,
        400,
        'MANIFEST_BLOB_UNKNOWN',
        `blob unknown to registry: ${missing[0]?.digest}`,
      );
    }
    const digest = digestOf(bytes);
    const stored = { bytes, mediaType: request.headers['content-type'] ?? '' };
    for (const key of [name, digest]) this.manifests.set(`${repository} ${key}`, stored);
    response.writeHead(201, { 'docker-content-digest': digest }).end();
  }

  async #upload(
    request: IncomingMessage,
    response: ServerResponse,
    repository: string,
    id: string,
    seen: UploadRequest,
  ): Promise<void> {
    const { method } = request;
    if (method === 'POST') return this.#begin(response, repository, seen.query);
    const before = this.uploads.get(id);
    if (before === undefined)
      return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
    if (method === 'DELETE') {
      this.uploads.delete(id);
      response.writeHead(204).end();
    } else if (method === 'GET') {
      response.writeHead(204, this.#place(repository, id)).end();
    } else {
      const range = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
      if (range !== undefined && Number(range) !== before.length) {
        return refuse(response, 416, 'RANGE_INVALID', 'invalid content range');
      }
      if (!(await this.#receive(request, id, seen))) return;
      if (method === 'PATCH') response.writeHead(202, this.#place(repository, id)).end();
      else this.#finish(response, repository, id, seen.query.get('digest') ?? '');
    }
  }

  #begin(response: ServerResponse, repository: string, query: URLSearchParams): void {
    const [digest, from] = [query.get('mount'), query.get('from')];
    const mounted = this.blobs.get(`${from} ${digest}`);
    if (digest !== null && mounted !== undefined) {
      this.blobs.set(`${repository} ${digest}`, mounted);
      response.writeHead(201, { 'docker-content-digest': digest }).end();
      return;
    }
    const id = `upload-${this.requests.length}`;
    this.uploads.set(id, Buffer.alloc(0));
    response.writeHead(202, this.#place(repository, id)).end();
  }

  #place(repository: string, id: string): Record<string, string> {
    const last = Math.max(0, (this.uploads.get(id)?.length ?? 0) - 1);
    return { location: `${this.locationBase}/v2/${repository}/blobs/uploads/${id}`, range: `0-${last}` };
  }

  /** False where the connection was cut. */
  async #receive(request: IncomingMessage, id: string, seen: UploadRequest): Promise<boolean> {
    const { cut } = this;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      this.uploads.set(id, Buffer.concat([this.uploads.get(id) ?? Buffer.alloc(0), chunk]));
      seen.bodyBytes += chunk.length;
      if (request.method !== 'PATCH' || cut.times === 0 || seen.bodyBytes < cut.afterBytes) continue;
      cut.times -= 1;
      request.socket.destroy();
      return false;
    }
    return true;
  }

  #finish(response: ServerResponse, repository: string, id: string, digest: string): void {
    const bytes = this.uploads.get(id) ?? Buffer.alloc(0);
    this.uploads.delete(id);
    if (digestOf(bytes) !== digest) refuse(response, 400, 'DIGEST_INVALID', 'provided digest did not match');
    else {
      this.blobs.set(`${repository} ${digest}`, bytes);
      response.writeHead(201, { 'docker-content-digest': digest }).end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function namedBy(bytes: Buffer): { digest: string; manifest: boolean }[] {
  type Entry = { digest: string };
  const {
    config,
    layers = [],
    manifests = [],
  } = JSON.parse(bytes.toString()) as {
    config?: Entry;
    layers?: Entry[];
    manifests?: Entry[];
  };
  const blobs = [...(config === undefined ? [] : [config]), ...layers];
  return [
    ...blobs.map(({ digest }) => ({ digest, manifest: false })),
    ...manifests.map(({ digest }) => ({ digest, manifest: true })),
  ];
}
