/**
 * Answers without an end of their own (events, followed logs, statistics) from one daemon to the next: the head and a
 * part of the body have gone out. The next daemon asks its own routes the same request, on the same listener and so
 * with the same rights, and tells the handler how far the one before it has come.
 */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import { addon } from '../../native/addon.ts';
import { descriptorOf } from '../../native/descriptor.ts';

/** What is asked again. */
export interface StreamRequest {
  /** Key of what the client has connected to. */
  readonly listener: string;
  /** With query. */
  readonly url: string;
  readonly accept: string;
}

/** What the next daemon knows a stream by. Handlers' states only ever get fields, as builds of different age meet. */
export interface HandedStream extends StreamRequest {
  /** The body is sent in chunks. */
  chunked: boolean;
  /** The handler's own. */
  state: unknown;
  /** Tells streams of one takeover apart. */
  serial: number;
}

/** The request as the daemon before this one had it. */
export function messageAgain({ url, accept }: StreamRequest, socket: Socket): IncomingMessage {
  const message = new IncomingMessage(socket);
  message.method = 'GET';
  message.url = url;
  message.headers = accept === '' ? {} : { accept };
  return message;
}

/** The rest of a body. */
export class ContinuedBody extends Writable {
  readonly socket: Socket;
  readonly chunked: boolean;
  readonly #gone = new AbortController();

  constructor(fd: number, chunked: boolean) {
    super();
    this.chunked = chunked;
    this.socket = new Socket({ fd, readable: true, writable: true });
    this.on('error', () => this.socket.destroy());
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('close', () => {
      this.#gone.abort();
      this.destroy();
    });
    // What a client asks next on this connection meets its end.
    this.socket.resume();
  }

  /** The client has gone, or has had all. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  override _write(data: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.socket.destroyed || data.length === 0) done();
    else if (!this.chunked) this.socket.write(data, done);
    else {
      const frame = [Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')];
      this.socket.write(Buffer.concat(frame), done);
    }
  }

  override _final(done: () => void): void {
    this.socket.end(this.chunked ? '0\r\n\r\n' : '');
    done();
  }

  /** A second descriptor, for one more daemon; this process is done with it. Undefined where the client is gone. */
  pass(): number | undefined {
    const own = this.socket.destroyed ? -1 : descriptorOf(this.socket);
    if (own < 0) return undefined;
    try {
      return addon().duplicate(own);
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'a stream cannot be handed over');
      return undefined;
    } finally {
      this.socket.destroy();
    }
  }
}
