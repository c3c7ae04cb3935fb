/**
 * One HTTP exchange on the daemon's socket, over a connection of its own: the whole answer, or as much of a stream as
 * was wanted; what an upgraded or hijacked connection says counts as the body.
 */
import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';

const TIMEOUT_MS = 30_000;

export interface Exchange {
  readonly method: string;
  /** With version prefix and query, where wanted. */
  readonly path: string;
  readonly headers?: Record<string, string>;
  /** A Buffer is sent as it is, all else as JSON. */
  readonly body?: unknown;
  /** Until the answer has ended. Default 30 s. */
  readonly timeoutMs?: number;
  /** The connection is closed by us as soon as the body so far satisfies this. */
  readonly until?: (body: Buffer) => boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
  readonly text: string;
  /** Milliseconds until the headers were there. */
  readonly headersMs: number;
  /** The body as JSON; fails where it is none. */
  json<T>(): T;
}

/** Fails where the connection breaks, or where there is no answer, or no end of it, in time. */
export function exchange(
  socketPath: string,
  { until, timeoutMs = TIMEOUT_MS, ...wanted }: Exchange,
): Promise<Answer> {
  const startedAt = performance.now();
  const title = `${wanted.method} ${wanted.path}`;
  const raw = Buffer.isBuffer(wanted.body);
  const body = wanted.body === undefined || raw ? wanted.body : JSON.stringify(wanted.body);
  const headers: Record<string, string> = {
    ...(wanted.body === undefined ? {} : { 'content-type': raw ? 'application/x-tar' : 'application/json' }),
    ...wanted.headers,
  };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, ...wanted, headers, agent: false });
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`${title}: no end within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const receive = (response: IncomingMessage, stream: Duplex | IncomingMessage, head: Buffer): void => {
      const headersMs = performance.now() - startedAt;
      const chunks: Buffer[] = [head];
      const done = (): void => {
        clearTimeout(timer);
        const all = Buffer.concat(chunks);
        const text = all.toString('utf8');
        const { statusCode: status = 0, headers: answered } = response;
        const json = <T>(): T => JSON.parse(text) as T;
        resolve({ status, headers: answered, body: all, text, headersMs, json });
        stream.destroy();
      };
      const enough = (): boolean => until?.(Buffer.concat(chunks)) === true;
      stream.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (enough()) done();
      });
      stream.once('end', done);
      // The daemon may close a hijacked connection in both directions at once.
      stream.once('close', done);
      stream.once('error', reject);
      if (enough()) done();
    };
    outgoing.once('response', (response) => receive(response, response, Buffer.alloc(0)));
    outgoing.once('upgrade', receive);
    outgoing.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    if (headers['upgrade'] === undefined) outgoing.end(body);
    else {
      outgoing.flushHeaders();
      if (body !== undefined) outgoing.write(body);
    }
  });
}

/** The payloads of a multiplexed stream (Engine API, "Stream format"): stream number and text of every frame. */
export function frames(body: Buffer): { stream: number; text: string }[] {
  const found: { stream: number; text: string }[] = [];
  for (let offset = 0; offset + 8 <= body.length; ) {
    const length = body.readUInt32BE(offset + 4);
    const text = body.toString('utf8', offset + 8, offset + 8 + length);
    found.push({ stream: body.readUInt8(offset), text });
    offset += 8 + length;
  }
  return found;
}
