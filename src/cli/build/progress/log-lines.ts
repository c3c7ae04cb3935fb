/** Whole lines of what a step prints, of each stream by itself; a line without end is cut into pieces. */
import { StringDecoder } from 'node:string_decoder';

const LINE_MAX_CHARS = 16 * 1024;

export class LogLines {
  readonly #streams = new Map<number, { decoder: StringDecoder; rest: string }>();

  push(stream: number, data: Uint8Array, onLine: (line: string) => void): void {
    const state = this.#streams.get(stream) ?? { decoder: new StringDecoder('utf8'), rest: '' };
    this.#streams.set(stream, state);
    const lines = (state.rest + state.decoder.write(Buffer.from(data))).split('\n');
    state.rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.replace(/\r+$/, ''));
    while (state.rest.length > LINE_MAX_CHARS) {
      onLine(state.rest.slice(0, LINE_MAX_CHARS));
      state.rest = state.rest.slice(LINE_MAX_CHARS);
    }
  }

  /** The step is over: what has no line end is a line as well. */
  end(onLine: (line: string) => void): void {
    for (const state of this.#streams.values()) {
      if (state.rest !== '') onLine(state.rest);
      state.rest = '';
    }
  }
}

/** A line as a terminal would show it after carriage returns, with nothing in it that a terminal obeys. */
export function quietLine(line: string): string {
  const shown = line.slice(line.replace(/\r+$/, '').lastIndexOf('\r') + 1);
  return (
    shown
      // CSI, OSC and two-character sequences.
      .replace(/(?:\u001b\[|\u009b)[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]/g, '')
      .replace(/(?:\u001b\]|\u009d)[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?/g, '')
      .replace(/\u001b[\x20-\x2f]*[\x30-\x7e]/g, '')
      .replace(/\t/g, '    ')
      .replace(/\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '')
  );
}
