/** The body of an HTTP/1.1 answer (RFC 9112, sections 6 and 7): of known length, chunked, or up to the close. */
import { Readable } from 'node:stream';

/** How the end of a body is found. */
export type BodyFraming =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' | 'close' };

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
  readonly #decoder: Decoder;
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

interface Decoder {
  readonly complete: boolean;
  readonly endsWithConnection: boolean;
  decode(chunk: Buffer): Iterable<Buffer>;
}

function decoderFor(framing: BodyFraming): Decoder {
  switch (framing.kind) {
    case 'length':
      return new LengthDecoder(framing.bytes);
    case 'chunked':
      return new ChunkedDecoder();
    case 'close':
      return { complete: false, endsWithConnection: true, decode: (chunk) => [chunk] };
  }
}

class LengthDecoder implements Decoder {
  readonly endsWithConnection = false;
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get complete(): boolean {
    return this.#left === 0;
  }

  decode(chunk: Buffer): Buffer[] {
    const piece = chunk.subarray(0, this.#left);
    this.#left -= piece.length;
    return [piece];
  }
}

const MAX_LINE_BYTES = 16 * 1024;

class ChunkedDecoder implements Decoder {
  readonly endsWithConnection = false;
  complete = false;
  #state: 'size' | 'data' | 'after-data' | 'trailer' = 'size';
  #left = 0;
  #line = '';

  *decode(chunk: Buffer): Generator<Buffer> {
    let at = 0;
    while (at < chunk.length && !this.complete) {
      if (this.#state === 'data') {
        const end = Math.min(at + this.#left, chunk.length);
        this.#left -= end - at;
        yield chunk.subarray(at, end);
        at = end;
        if (this.#left === 0) this.#state = 'after-data';
        continue;
      }
      const newline = chunk.indexOf(10, at);
      const end = newline < 0 ? chunk.length : newline;
      this.#line += chunk.toString('latin1', at, end);
      if (this.#line.length > MAX_LINE_BYTES) throw new Error('malformed chunked answer: a line is too long');
      at = end + 1;
      if (newline >= 0) this.#endLine();
    }
  }

  #endLine(): void {
    const line = this.#line.replace(/\r$/, '');
    this.#line = '';
    if (this.#state === 'trailer') this.complete = line === '';
    else if (this.#state === 'after-data') this.#state = 'size';
    else {
      const digits = /^[\da-f]+/i.exec(line)?.[0];
      if (digits === undefined) throw new Error('malformed chunked answer: no chunk size');
      this.#left = Number.parseInt(digits, 16);
      this.#state = this.#left === 0 ? 'trailer' : 'data';
    }
  }
}
