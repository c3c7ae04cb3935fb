/** How much of a copy has gone through: a line on a terminal that is redrawn, and one for the result. */
import { humanSize } from '../format/units.ts';
import type { Output } from '../io.ts';

const FIRST_SHOWN_MS = 500;
const REDRAW_MS = 100;

/** Counts the bytes of a stream on their way. Shows nothing where `output` is undefined or no terminal. */
export class CopyProgress {
  readonly #output: Output | undefined;
  readonly #label: string;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  /** `label`: `Copying to container`. */
  constructor(output: Output | undefined, label: string) {
    this.#output = output?.isTTY === true ? output : undefined;
    this.#label = label;
  }

  async *count(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    if (this.#output !== undefined) this.#timer = setTimeout(() => this.#draw(), FIRST_SHOWN_MS);
    for await (const chunk of stream) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  /** The last line. Without a target the line in motion is only taken away. */
  finish(target?: string): void {
    clearTimeout(this.#timer);
    if (this.#drawn) this.#output?.write('\r\x1b[2K');
    this.#drawn = false;
    if (target !== undefined)
      this.#output?.write(`Successfully copied ${humanSize(this.#bytes, 3)} to ${target}\n`);
  }

  #draw(): void {
    this.#drawn = true;
    this.#output?.write(`\r\x1b[2K${this.#label} - ${humanSize(this.#bytes, 3)}`);
    this.#timer = setTimeout(() => this.#draw(), REDRAW_MS);
  }
}
