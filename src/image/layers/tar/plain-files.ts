/**
 * In front of what reads a tar as a layer: for archives of files, in which names with a meaning in layers have none, and
 * which could not be stored as a layer.
 */
import { type TarEntry, tarError } from './tar-format.ts';
import type { TarSink } from './tar-reader.ts';

export class PlainFiles implements TarSink {
  readonly #next: TarSink;

  constructor(next: TarSink) {
    this.#next = next;
  }

  entry(entry: TarEntry, body: Buffer | undefined, offset: number, contentOffset?: number): void {
    if (entry.name.split('/').some((part) => part.startsWith('.wh.'))) {
      throw tarError('names that begin with .wh. are reserved in images', offset, entry.name);
    }
    if (entry.type === 'character' && entry.deviceMajor === 0 && entry.deviceMinor === 0) {
      throw tarError('a device 0:0, which marks what is gone in images', offset, entry.name);
    }
    this.#next.entry(entry, body, offset, contentOffset);
  }

  data(chunk: Buffer, position: number): void {
    this.#next.data(chunk, position);
  }

  end(): void {
    this.#next.end();
  }
}
