/**
 * The called side of gRPC over connections that are there already. Services are tables of methods; what a table lacks
 * is Unimplemented, by name.
 */
import http2, {
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { encode, readMessages, writeBytes } from './call.ts';
import { pathOf } from './channel.ts';
import { asGrpcError, GrpcError, trailers } from './status.ts';

const LIMITS: http2.ServerOptions = {
  maxHeaderListPairs: 256,
  maxSessionMemory: 64,
  maxSettings: 32,
  maxOutstandingPings: 4,
  settings: { maxConcurrentStreams: 128, initialWindowSize: 1 << 20, maxHeaderListSize: 64 << 10 },
};

export interface ServerCallContext {
  readonly headers: IncomingHttpHeaders;
  /** Fires when the client cancels the call or goes away. */
  readonly signal: AbortSignal;
  /** Fires when the connection is gone. */
  readonly connection: AbortSignal;
}

interface ServerCall extends ServerCallContext {
  readonly stream: ServerHttp2Stream;
}

type Method = (call: ServerCall) => Promise<void>;

export class GrpcServices {
  readonly #methods = new Map<string, Method>();
  readonly #onFailure: (call: string, failure: GrpcError) => void;
  readonly #headers: () => OutgoingHttpHeaders;
  #server: Http2Server | undefined;

  /** `onFailure` hears of calls that end with an error, for a log; `headers` are those of every answer. */
  constructor(
    onFailure: (call: string, failure: GrpcError) => void = () => undefined,
    headers: () => OutgoingHttpHeaders = () => ({}),
  ) {
    this.#onFailure = onFailure;
    this.#headers = headers;
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    handle: (request: MessageShape<I>, call: ServerCallContext) => Promise<MessageInitShape<O>>,
  ): this {
    return this.stream(method, async function* (requests, call) {
      for await (const request of requests) {
        yield await handle(request, call);
        return;
      }
      throw new GrpcError('Internal', `${pathOf(method)} without a request`);
    });
  }

  /** Any number of messages both ways; the answers are taken as fast as the client reads. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    handle: (
      requests: AsyncGenerator<MessageShape<I>>,
      call: ServerCallContext,
    ) => AsyncIterable<MessageInitShape<O>>,
  ): this {
    this.#methods.set(pathOf(method), async (call) => {
      for await (const message of handle(readMessages(call.stream, method.input), call)) {
        await writeBytes(call.stream, encode(method.output, message));
      }
    });
    return this;
  }

  /** Answers the calls of one connection until it ends. */
  serve(connection: Duplex): void {
    // Node would hand what has come already to a session that ends in the same tick.
    if (connection.destroyed) return;
    this.#server ??= this.#listen();
    this.#server.emit('connection', connection);
  }

  #listen(): Http2Server {
    const server = http2.createServer(LIMITS);
    const connections = new WeakMap<Http2Session, AbortController>();
    server.on('session', (session) => {
      const controller = new AbortController();
      connections.set(session, controller);
      session.on('error', () => session.destroy());
      session.on('close', () => controller.abort(new GrpcError('Canceled', 'the client has gone')));
    });
    server.on('stream', (stream, headers) => {
      const session = stream.session;
      const connection = session === undefined ? undefined : connections.get(session)?.signal;
      void this.#answer(stream, headers, connection ?? AbortSignal.abort());
    });
    return server;
  }

  async #answer(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: AbortSignal,
  ): Promise<void> {
    const controller = new AbortController();
    stream.on('error', () => undefined);
    stream.on('close', () => controller.abort(new GrpcError('Canceled', 'the call was canceled')));
    // The client may be gone by the time that its call is looked at.
    if (stream.destroyed || stream.closed) return;
    const path = headers[':path'] ?? '';
    if (headers[':method'] !== 'POST' || !/^application\/grpc\b/.test(headers['content-type'] ?? '')) {
      stream.respond({ ':status': 415 }, { endStream: true });
      return;
    }
    let failure: GrpcError | undefined;
    const answer = { ...this.#headers(), ':status': 200, 'content-type': 'application/grpc' };
    stream.respond(answer, { waitForTrailers: true });
    stream.on('wantTrailers', () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailers(failure));
    });
    try {
      const method = this.#methods.get(path);
      if (method === undefined) throw new GrpcError('Unimplemented', `unknown method ${path}`);
      await method({ stream, headers, signal: controller.signal, connection });
    } catch (error) {
      if (controller.signal.aborted) return;
      failure = asGrpcError(error);
      this.#onFailure(path, failure);
    }
    if (stream.destroyed) return;
    stream.end();
    // What the client still sends is of no interest, and must not keep the stream from closing.
    stream.resume();
  }
}
