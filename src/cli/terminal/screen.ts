/** Text that is drawn over and over at the same place of a terminal: `stats`, `top`. */
import type { Output } from '../io.ts';

export class Screen {
  readonly #output: Output;
  #rows = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Replaces what was drawn before. Lines are cut to the terminal's width, and what exceeds its height is left out. */
  draw(text: string): void {
    const width = this.#output.columns || 80;
    const room = Math.max((this.#output.rows || 24) - 1, 1);
    const lines = text.replace(/\n$/, '').split('\n').slice(0, room);
    const up = this.#rows > 0 ? `\x1b[${this.#rows}A` : '';
    // Each line is overwritten and its rest cleared, which flickers less than clearing all first.
    const drawn = lines.map((line) => `${[...line].slice(0, width).join('')}\x1b[K\n`).join('');
    this.#output.write(`\r${up}${drawn}\x1b[J`);
    this.#rows = lines.length;
  }
}
