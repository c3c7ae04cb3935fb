/**
 * The calling side of gRPC over one connection that is there already: a client's session, on which the client is the
 * server. HTTP/2 with prior knowledge, as after `Upgrade: h2c`.
 */
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { encode, gone, readMessages, writeBytes } from './call.ts';
import { asGrpcError, errorFromTrailers, GrpcError } from './status.ts';

/** What one peer may make this process hold: header lists, and data that nobody has read yet. */
const LIMITS: http2.ClientSessionOptions = {
  maxHeaderListPairs: 256,
  maxSessionMemory: 32,
  maxSettings: 32,
  maxOutstandingPings: 4,
  settings: { enablePush: false, initialWindowSize: 1 << 20, maxHeaderListSize: 64 << 10 },
};

const CONNECTION_WINDOW_BYTES = 4 << 20;

/** A list is sent as that many header fields, as gRPC-Go reads them. */
export type Metadata = Readonly<Record<string, string | readonly string[]>>;

export interface CallOptions {
  signal?: AbortSignal | undefined;
  metadata?: Metadata;
}

export class GrpcChannel {
  readonly #session: ClientHttp2Session;
  /** Node hands on what came with the switch of protocols in the next tick, and fails where the session is gone by then. */
  #begun = false;
  #ending = false;
  readonly #controller = new AbortController();

  constructor(connection: Duplex) {
    const session = http2.connect('http://localhost', { ...LIMITS, createConnection: () => connection });
    this.#session = session;
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    });
    session.on('error', () => this.close());
    session.on('goaway', () => session.close());
    session.on('close', () => {
      connection.destroy();
      this.#controller.abort(new GrpcError('Unavailable', 'the session of the client has ended'));
    });
    // Where the connection goes without HTTP/2 having begun, no 'close' of the session would come.
    connection.once('close', () => this.close());
    setImmediate(() => {
      this.#begun = true;
      if (this.#ending || connection.destroyed) session.destroy();
    });
  }

  /** Fires once the connection is gone, whoever ended it. */
  get closed(): AbortSignal {
    return this.#controller.signal;
  }

  close(): void {
    this.#ending = true;
    if (this.#begun) this.#session.destroy();
  }

  /** One message each way. Rejects with the GrpcError of the peer, Unavailable where the connection goes, or the signal's reason. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    request: MessageInitShape<I>,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const call = this.open(method, options);
    await call.write(request);
    call.end();
    let answer: MessageShape<O> | undefined;
    for await (const message of call.messages()) {
      if (answer !== undefined) throw new GrpcError('Internal', `more than one answer to ${pathOf(method)}`);
      answer = message;
    }
    if (answer === undefined) throw new GrpcError('Internal', `no answer to ${pathOf(method)}`);
    return answer;
  }

  /** A call with any number of messages both ways. */
  open<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    { signal, metadata = {} }: CallOptions = {},
  ): ClientCall<I, O> {
    signal?.throwIfAborted();
    if (this.#ending || this.#session.closed || this.#session.destroyed) {
      throw new GrpcError('Unavailable', 'the session of the client has ended');
    }
    const stream = this.#session.request({
      ...metadata,
      ':method': 'POST',
      ':path': pathOf(method),
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    return new ClientCall(method, stream, signal);
  }
}

/** `/package.Service/Method`: also what clients list as what they serve. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export class ClientCall<I extends DescMessage, O extends DescMessage> {
  readonly #method: DescMethod & { input: I; output: O };
  readonly #stream: ClientHttp2Stream;
  readonly #signal: AbortSignal | undefined;
  readonly #closed: Promise<void>;
  #failure: GrpcError | undefined;
  #ended = false;

  constructor(
    method: DescMethod & { input: I; output: O },
    stream: ClientHttp2Stream,
    signal: AbortSignal | undefined,
  ) {
    this.#method = method;
    this.#stream = stream;
    this.#signal = signal;
    const cancel = (): void => this.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    stream.on('response', (headers) => this.#head(headers));
    stream.on('trailers', (headers) => this.#status(headers));
    // What went wrong is told by the reading or writing that fails of it.
    stream.on('error', () => undefined);
    this.#closed = new Promise((resolve) => {
      stream.once('close', () => {
        signal?.removeEventListener('abort', cancel);
        resolve();
      });
    });
  }

  async write(message: MessageInitShape<I>): Promise<void> {
    await this.writeEncoded(encode(this.#method.input, message));
  }

  /** A message with its length in front, of whatever type. Rejects with the peer's error where it has ended the call. */
  async writeEncoded(bytes: Buffer): Promise<void> {
    try {
      await writeBytes(this.#stream, bytes);
    } catch (error) {
      throw await this.#reason(error);
    }
  }

  /** No more messages will come from here. */
  end(): void {
    if (!this.#stream.destroyed) this.#stream.end();
  }

  cancel(): void {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL);
  }

  /** The peer's messages, read as they are asked for; throws with what the call ended with. Leaving early cancels it. */
  messages(): AsyncGenerator<MessageShape<O>> {
    return this.messagesAs(this.#method.output);
  }

  async *messagesAs<D extends DescMessage>(schema: D): AsyncGenerator<MessageShape<D>> {
    try {
      yield* readMessages(this.#stream, schema);
      await this.#settled();
    } catch (error) {
      throw await this.#reason(error);
    } finally {
      if (!this.#ended) this.cancel();
    }
    if (this.#failure !== undefined) throw await this.#reason(this.#failure);
  }

  /** The trailers come before the stream closes, and after its last byte. */
  async #settled(): Promise<void> {
    if (this.#ended) return;
    await this.#closed;
    if (!this.#ended) throw gone(this.#stream);
  }

  async #reason(error: unknown): Promise<unknown> {
    if (this.#signal?.aborted === true) return this.#signal.reason;
    if (this.#failure !== undefined) return this.#failure;
    const failure = asGrpcError(error);
    // The peer's own words, where it ended the call, are on their way.
    if (failure.code === 'Unavailable' && !this.#stream.destroyed) {
      this.#stream.resume();
      await this.#closed;
    }
    return this.#failure ?? error;
  }

  #head(headers: IncomingHttpHeaders & { ':status'?: number | undefined }): void {
    if (headers[':status'] !== 200) {
      this.#failure = new GrpcError('Unavailable', `${pathOf(this.#method)}: status ${headers[':status']}`);
      this.cancel();
      return;
    }
    if (headers['grpc-status'] !== undefined) this.#status(headers);
  }

  #status(headers: IncomingHttpHeaders): void {
    this.#ended = headers['grpc-status'] !== undefined;
    this.#failure = errorFromTrailers(headers);
  }
}
