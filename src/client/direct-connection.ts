/**
 * A connection to a daemon on this machine and the exchanges on it, by system calls: Node's sockets and streams take a
 * short command longer to load than the rest of its work. For requests whose body is text and whose answers are read
 * as they come; what is sent to a container later on (stdin) goes over `HttpConnection`.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { type BodyDecoder, decoderFor } from './body-decoder.ts';
import { type AnswerHead, bodyFraming, parseAnswerHead, requestHead, withLength } from './http-head.ts';
import type { NativePart, Watch } from './native-part.ts';

const MAX_HEAD_BYTES = 64 * 1024;
const READ_BYTES = 256 * 1024;

export interface TextRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
}

/** A piece lives as long as the call. No more pieces come before the promise is fulfilled. */
export type TakePiece = (piece: Buffer) => Promise<void> | undefined;

/** An answer whose head has come. After a 101 its body is all that follows. */
export class DirectAnswer {
  readonly head: AnswerHead;
  readonly #connection: DirectConnection;
  readonly #ended = Promise.withResolvers<void>();
  readonly #early: Buffer[] = [];
  #take: TakePiece | undefined;

  constructor(head: AnswerHead, connection: DirectConnection) {
    this.head = head;
    this.#connection = connection;
    // Who reads the body hears of it.
    this.#ended.promise.catch(() => {});
  }

  /** The whole body. */
  async text(): Promise<string> {
    const pieces: Buffer[] = [];
    await this.each((piece) => {
      pieces.push(Buffer.from(piece));
      return undefined;
    });
    return Buffer.concat(pieces).toString();
  }

  /** Resolves at the body's end; rejects where the connection breaks before that, or `take` fails. */
  async each(take: TakePiece): Promise<void> {
    for (let piece = this.#early.shift(); piece !== undefined; piece = this.#early.shift()) await take(piece);
    this.#take = take;
    await this.#ended.promise;
  }

  /** Ends the connection, wherever it is. */
  destroy(): void {
    this.#connection.destroy();
  }

  /** By the connection alone. */
  feed(piece: Buffer): Promise<void> | undefined {
    if (this.#take !== undefined) return this.#take(piece);
    this.#early.push(Buffer.from(piece));
    return undefined;
  }

  end(error?: Error): void {
    if (error === undefined) this.#ended.resolve();
    else this.#ended.reject(error);
  }
}

type Waiting = { method: string; resolve(answer: DirectAnswer): void; reject(error: Error): void };

/** As system calls report theirs. */
function connectError(code: number): Error {
  const name = { [-2]: 'ENOENT', [-13]: 'EACCES', [-1]: 'EPERM', [-111]: 'ECONNREFUSED' }[code];
  return Object.assign(new Error(`connect: ${name ?? `error ${-code}`}`), { code: name });
}

export class DirectConnection {
  readonly #native: NativePart;
  readonly #onIdle: (connection: DirectConnection) => void;
  readonly #onClose: (connection: DirectConnection) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #descriptor: number;
  #watch: Watch | undefined;
  #head: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;
  #answer: { answer: DirectAnswer; decoder: BodyDecoder } | undefined;

  /** Throws as a failed `connect` does. `onIdle`: it can carry another request. */
  constructor(
    native: NativePart,
    path: string,
    onIdle: (connection: DirectConnection) => void,
    onClose: (connection: DirectConnection) => void,
  ) {
    this.#native = native;
    this.#onIdle = onIdle;
    this.#onClose = onClose;
    this.#descriptor = native.connectUnix(path);
    if (this.#descriptor < 0) throw connectError(this.#descriptor);
  }

  get destroyed(): boolean {
    return this.#descriptor < 0;
  }

  /** Resolves with the head as soon as it is there. Only one exchange at a time. */
  exchange(request: TextRequest): Promise<DirectAnswer> {
    const { method, path, headers, body = '' } = request;
    const head = requestHead(method, path, withLength(method, headers, Buffer.byteLength(body)));
    return new Promise((resolve, reject) => {
      this.#waiting = { method, resolve, reject };
      this.#send(head + body);
      this.#listen();
    });
  }

  destroy(): void {
    this.#fail(new Error('the connection was closed'));
  }

  /** A daemon that closes early may have answered: that is heard by reading. */
  #send(text: string): void {
    try {
      let rest: Buffer = Buffer.from(text);
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#descriptor, rest));
    } catch (error) {
      if (!['EPIPE', 'ECONNRESET'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
    }
  }

  #listen(): void {
    if (this.#descriptor >= 0) this.#watch ??= this.#native.watch(this.#descriptor, this.#onReadable);
  }

  /** An idle connection does not keep the process alive. */
  #rest(): void {
    const watch = this.#watch;
    this.#watch = undefined;
    if (watch !== undefined) this.#native.unwatch(watch);
  }

  readonly #onReadable = (): void => {
    try {
      const bytes = readSync(this.#descriptor, this.#buffer, 0, READ_BYTES, null);
      if (bytes === 0) this.#onEnd();
      else if (this.#answer === undefined) this.#readHead(this.#buffer.subarray(0, bytes));
      else this.#feed(this.#buffer.subarray(0, bytes));
    } catch (error) {
      this.#fail(error as Error);
    }
  };

  #readHead(chunk: Buffer): void {
    this.#head = Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > MAX_HEAD_BYTES) throw new Error('the head of the answer is too long');
      return;
    }
    const head = parseAnswerHead(this.#head.toString('latin1', 0, end));
    const rest = this.#head.subarray(end + 4);
    this.#head = Buffer.alloc(0);
    if (head.status < 200 && head.status !== 101) {
      this.#readHead(rest);
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) throw new Error('an answer came that nobody had asked for');
    const framing = head.status === 101 ? ({ kind: 'close' } as const) : bodyFraming(waiting.method, head);
    const answer = new DirectAnswer(head, this);
    this.#answer = { answer, decoder: decoderFor(framing) };
    waiting.resolve(answer);
    this.#feed(rest);
  }

  #feed(chunk: Buffer): void {
    if (this.#answer === undefined) throw new Error('an answer came that nobody had asked for');
    const { answer, decoder } = this.#answer;
    const taken: Promise<void>[] = [];
    if (chunk.length > 0) {
      for (const piece of decoder.decode(chunk)) {
        const later = answer.feed(piece);
        if (later !== undefined) taken.push(later);
      }
    }
    if (taken.length > 0) {
      this.#rest();
      Promise.all(taken).then(
        () => this.#took(answer, decoder),
        (error: Error) => this.#fail(error),
      );
    } else this.#took(answer, decoder);
  }

  #took(answer: DirectAnswer, decoder: BodyDecoder): void {
    if (!decoder.complete) {
      this.#listen();
      return;
    }
    this.#answer = undefined;
    this.#rest();
    if (answer.head.keepAlive) this.#onIdle(this);
    else this.#close();
    answer.end();
  }

  #onEnd(): void {
    const current = this.#answer;
    if (current?.decoder.endsWithConnection === true) {
      this.#answer = undefined;
      this.#close();
      current.answer.end();
    } else if (current !== undefined) this.#fail(new Error('unexpected EOF'));
    else this.#fail(new Error('the connection was closed before the answer came'));
  }

  #fail(error: Error): void {
    this.#close();
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#answer?.answer.end(error);
    this.#answer = undefined;
  }

  #close(): void {
    if (this.#descriptor < 0) return;
    this.#rest();
    closeSync(this.#descriptor);
    this.#descriptor = -1;
    this.#onClose(this);
  }
}
