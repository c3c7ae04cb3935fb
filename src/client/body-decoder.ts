/** How bodies of HTTP/1.1 answers are framed, and their bytes taken out of that (RFC 9112, sections 6 and 7). */

/** How the end of a body is found. */
export type BodyFraming =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' | 'close' };

/** Takes what comes behind a head, and gives what is the body in it. */
export interface BodyDecoder {
  /** All has come. */
  readonly complete: boolean;
  /** Its end is that of the connection. */
  readonly endsWithConnection: boolean;
  decode(chunk: Buffer): Iterable<Buffer>;
}

export function decoderFor(framing: BodyFraming): BodyDecoder {
  switch (framing.kind) {
    case 'length':
      return new LengthDecoder(framing.bytes);
    case 'chunked':
      return new ChunkedDecoder();
    case 'close':
      return { complete: false, endsWithConnection: true, decode: (chunk) => [chunk] };
  }
}

class LengthDecoder implements BodyDecoder {
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

class ChunkedDecoder implements BodyDecoder {
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
