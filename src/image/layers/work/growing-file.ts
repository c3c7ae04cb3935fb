/**
 * A file that somebody still writes, as those see it who read it meanwhile: how much may be read by now, when it is
 * whole (for blobs: verified as well), and that it came to nothing. One object is one attempt: where a file is begun
 * anew, the old object is lost and there is another.
 */
import { EngineError } from '../../../base/errors.ts';
import { abortable } from '../../abortable.ts';

/** What was read does not count: the file was given up or begun anew. */
export class SourceLostError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Unavailable', message, cause);
  }
}

export interface FileExtent {
  availableBytes: number;
  /** There is no more to come. */
  isWhole: boolean;
}

export class GrowingFile {
  #availableBytes = 0;
  #isWhole = false;
  #changed = Promise.withResolvers<void>();
  readonly #lost = new AbortController();

  /** Aborted with a SourceLostError once what was read does not count. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get extent(): FileExtent {
    return { availableBytes: this.#availableBytes, isWhole: this.#isWhole };
  }

  /** The first `availableBytes` of the file are in their place and do not change any more. */
  grow(availableBytes: number): void {
    if (availableBytes <= this.#availableBytes) return;
    this.#availableBytes = availableBytes;
    this.#tell();
  }

  /** Ends it well, at its present length. */
  complete(): void {
    this.#isWhole = true;
    this.#tell();
  }

  /** Ends it badly, unless it is whole. */
  lose(message: string, cause?: unknown): void {
    if (this.#isWhole || this.lost.aborted) return;
    this.#lost.abort(new SourceLostError(message, cause));
    this.#tell();
  }

  /** Waits until there are more than `bytes`, or it is whole. Throws SourceLostError or the signal's reason. */
  async more(bytes: number, signal?: AbortSignal): Promise<FileExtent> {
    while (!this.#isWhole && this.#availableBytes <= bytes) {
      this.lost.throwIfAborted();
      await abortable(this.#changed.promise, signal);
    }
    this.lost.throwIfAborted();
    return this.extent;
  }

  /** Waits until it has ended, well or badly; only the signal makes it throw. */
  async settled(signal?: AbortSignal): Promise<'whole' | 'lost'> {
    while (!this.#isWhole && !this.lost.aborted) await abortable(this.#changed.promise, signal);
    return this.#isWhole ? 'whole' : 'lost';
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
