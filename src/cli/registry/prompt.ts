/** Questions on a terminal, answered in a line each; a password is not shown while it is typed. */
import { StringDecoder } from 'node:string_decoder';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { enterRawMode } from '../terminal/raw-mode.ts';

const INTERRUPT = '\x03';
const END = '\x04';
const ERASE = /[\b\x7f]/;
const KILL_LINE = '\x15';
const MAX_LINE_LENGTH = 64 << 10;

export class Prompt {
  readonly #io: Io;
  readonly #decoder = new StringDecoder('utf8');
  /** What was typed ahead of its question. */
  #ahead = '';

  constructor(io: Io) {
    this.#io = io;
  }

  /** Without the line's end. What there is where the input ends. */
  async line(question: string): Promise<string> {
    this.#io.stdout.write(question);
    return await this.#read(false);
  }

  /** The terminal does not echo; ctrl-c ends the program with 130. */
  async secret(question: string): Promise<string> {
    const restore = enterRawMode(this.#io.stdin);
    this.#io.stdout.write(question);
    try {
      return await this.#read(true);
    } finally {
      restore();
      this.#io.stdout.write('\n');
    }
  }

  async #read(raw: boolean): Promise<string> {
    const typed: string[] = [];
    for (;;) {
      const characters = [...this.#ahead];
      for (const [i, character] of characters.entries()) {
        const ends = character === '\n' || (raw && (character === '\r' || character === END));
        if (ends) {
          const next = character === '\r' && characters[i + 1] === '\n' ? i + 2 : i + 1;
          this.#ahead = characters.slice(next).join('');
          return typed.join('').replace(/\r$/, '');
        }
        if (raw && character === INTERRUPT) throw new CliError('', 130);
        if (raw && character === KILL_LINE) typed.length = 0;
        else if (raw && ERASE.test(character)) typed.pop();
        else typed.push(character);
      }
      this.#ahead = '';
      if (typed.length > MAX_LINE_LENGTH) throw new CliError('the line is too long');
      const more = await this.#more();
      if (more === undefined) return typed.join('');
      this.#ahead = more;
    }
  }

  /** Undefined where the input has ended. */
  #more(): Promise<string | undefined> {
    const { stdin } = this.#io;
    if (stdin.readableEnded || stdin.destroyed) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        stdin.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
        stdin.pause();
        finish();
      };
      const onData = (chunk: Buffer | string): void =>
        settle(() => resolve(typeof chunk === 'string' ? chunk : this.#decoder.write(chunk)));
      const onEnd = (): void => settle(() => resolve(undefined));
      const onError = (error: Error): void => settle(() => reject(error));
      stdin.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);
      stdin.resume();
    });
  }
}
