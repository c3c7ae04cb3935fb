/**
 * One connection to a daemon and the exchanges on it. node:http would do the same; it costs the command line 10 ms
 * at each start, and its sockets cannot be handed over half-open without an upgrade.
 */
import type { Duplex, Readable } from 'node:stream';
import { HttpBody } from './http-body.ts';
import {
  type AnswerHead,
  bodyFraming,
  parseAnswerHead,
  type RequestHeaders,
  requestHead,
  withLength,
} from './http-head.ts';

const MAX_HEAD_BYTES = 64 * 1024;

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: RequestHeaders;
  /** Text goes with a length, an iterable in chunks. */
  readonly body?: string | AsyncIterable<Uint8Array>;
}

export interface HttpAnswer extends AnswerHead {
  /** After a 101 the connection itself, paused, with all that came behind the head. */
  readonly body: Readable;
}

export class HttpConnection {
  readonly stream: Duplex;
  readonly #onIdle: (connection: HttpConnection) => void;
  #body: HttpBody | undefined;
  #head: Buffer = Buffer.alloc(0);
  #waiting:
    | { method: string; resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void }
    | undefined;

  /** `onIdle` is called when an answer has been read to its end and the connection can carry another request. */
  constructor(stream: Duplex, onIdle: (connection: HttpConnection) => void) {
    this.stream = stream;
    this.#onIdle = onIdle;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('close', this.#onEnd);
    stream.on('error', this.#onError);
  }

  /** Resolves with the head as soon as it is there. Only one exchange at a time. */
  async exchange(request: HttpRequest): Promise<HttpAnswer> {
    const { method, path, body } = request;
    const answer = new Promise<HttpAnswer>((resolve, reject) => {
      this.#waiting = { method, resolve, reject };
    });
    // The answer may fail while the body is still being sent.
    answer.catch(() => {});
    if (body === undefined)
      this.stream.write(requestHead(method, path, withLength(method, request.headers, 0)));
    else if (typeof body === 'string') {
      this.stream.write(
        requestHead(method, path, withLength(method, request.headers, Buffer.byteLength(body))) + body,
      );
    } else {
      this.stream.write(requestHead(method, path, { ...request.headers, 'transfer-encoding': 'chunked' }));
      this.#sendChunks(body).catch((error: Error) => this.#fail(error));
    }
    return await answer;
  }

  /** Ends the parsing: from now on the stream's bytes belong to whoever was given the answer. */
  #release(rest: Buffer): void {
    this.stream.off('data', this.#onData);
    this.stream.off('end', this.#onEnd);
    this.stream.off('close', this.#onEnd);
    this.stream.off('error', this.#onError);
    // Until the new owner listens, a break must not end the process.
    this.stream.on('error', () => {});
    this.stream.pause();
    if (rest.length > 0) this.stream.unshift(rest);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#body !== undefined) {
      this.#body.feed(chunk);
      return;
    }
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    try {
      this.#readHead();
    } catch (error) {
      this.#fail(error as Error);
    }
  };

  #readHead(): void {
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > MAX_HEAD_BYTES) throw new Error('the head of the answer is too long');
      return;
    }
    const head = parseAnswerHead(this.#head.toString('latin1', 0, end));
    const rest = this.#head.subarray(end + 4);
    this.#head = rest;
    if (head.status >= 100 && head.status < 200 && head.status !== 101) {
      this.#readHead();
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) throw new Error('an answer came that nobody had asked for');
    if (head.status === 101) {
      // At once: more bytes may follow before the caller gets to run.
      this.#release(rest);
      waiting.resolve({ ...head, body: this.stream });
      return;
    }
    const framing = bodyFraming(waiting.method, head);
    const body = new HttpBody(this.stream, framing, (complete) =>
      this.#bodyEnded(complete && head.keepAlive),
    );
    const empty = framing.kind === 'length' && framing.bytes === 0;
    this.#head = Buffer.alloc(0);
    this.#body = empty ? undefined : body;
    if (rest.length > 0) this.#body?.feed(rest);
    waiting.resolve({ ...head, body });
  }

  #bodyEnded(reusable: boolean): void {
    this.#body = undefined;
    if (reusable && !this.stream.destroyed) this.#onIdle(this);
    else this.stream.destroy();
  }

  readonly #onEnd = (): void => {
    this.#body?.connectionClosed();
    this.#fail(new Error('the connection was closed before the answer came'));
  };

  readonly #onError = (error: Error): void => {
    this.#body?.fail(error);
    this.#fail(error);
  };

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.stream.destroy();
    waiting?.reject(error);
  }

  async #sendChunks(body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of body) {
      if (this.stream.destroyed) return;
      if (chunk.length === 0) continue;
      this.stream.cork();
      this.stream.write(`${chunk.length.toString(16)}\r\n`);
      this.stream.write(chunk);
      const room = this.stream.write('\r\n');
      this.stream.uncork();
      if (!room) await this.#drained();
    }
    this.stream.write('0\r\n\r\n');
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.stream.off('drain', done);
        this.stream.off('close', done);
        resolve();
      };
      this.stream.on('drain', done);
      this.stream.on('close', done);
    });
  }
}
