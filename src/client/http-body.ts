/** The body of an HTTP/1.1 answer (RFC 9112, sections 6 and 7): of known length, chunked, or up to the close. */
import { Readable } from 'node:stream';
import { type BodyDecoder, type BodyFraming, decoderFor } from './body-decoder.ts';

/** What takes the wire's bytes. */
export interface BodySource {
  pause(): unknown;
  resume(): unknown;
}

/**
 * A readable body that is fed by `feed`; it slows its source down where nobody reads. `onEnd` is called once, with
 * true where the body ended as framed, so that the connection can carry another request.
 */
export class HttpBody extends Readable {
  readonly #source: BodySource;
  readonly #onEnd: (complete: boolean) => void;
  readonly #decoder: BodyDecoder;
  #ended = false;

  constructor(source: BodySource, framing: BodyFraming, onEnd: (complete: boolean) => void) {
    super({ highWaterMark: 256 * 1024 });
    this.#source = source;
    this.#onEnd = onEnd;
    this.#decoder = decoderFor(framing);
    // A body that nobody reads any more may fail without harm; readers have listeners of their own.
    this.on('error', () => {});
    if (this.#decoder.complete) this.#finish();
  }

  feed(chunk: Buffer): void {
    if (this.#ended) return;
    let room = true;
    try {
      for (const piece of this.#decoder.decode(chunk)) room = this.push(piece);
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    if (this.#decoder.complete) this.#finish();
    else if (!room) this.#source.pause();
  }

  /** The connection has ended: fine only for a body that runs up to the close. */
  connectionClosed(): void {
    if (this.#ended) return;
    if (this.#decoder.endsWithConnection) this.#finish();
    else this.fail(new Error('unexpected EOF'));
  }

  fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.destroy(error);
    this.#onEnd(false);
  }

  override _read(): void {
    if (!this.#ended) this.#source.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#ended) {
      this.#ended = true;
      this.#onEnd(false);
    }
    callback(error);
  }

  #finish(): void {
    this.#ended = true;
    this.push(null);
    this.#onEnd(!this.#decoder.endsWithConnection);
  }
}
