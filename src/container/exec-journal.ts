/**
 * What is told of execs as it happens, a line of JSON each, in a file that outlives a crash of the daemon and no reboot.
 * A later line about the same exec stands for all before it. The file is made anew when most of it is old.
 */
import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';

/** After so many lines it is looked at how many of them are old. */
const LINES_MAX = 4000;

export class ExecJournal<T extends object> {
  readonly #path: string;
  #lines = 0;
  /** Nothing is noted before `begin`, after `end`, and after a note that failed: half the truth misleads. */
  #open = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** What the last daemon has noted; a line that it could not end is left out. */
  read(): T[] {
    if (!existsSync(this.#path)) return [];
    const lines = readFileSync(this.#path, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as T);
  }

  /** Begins anew with `all`. */
  begin(all: readonly T[]): void {
    this.#attempt(() => {
      writeFileAtomic(this.#path, all.map((one) => `${JSON.stringify(one)}\n`).join(''), { sync: false });
      this.#lines = all.length;
      this.#open = true;
    });
  }

  /** `all`: what the file is made anew of. */
  note(one: T, all: () => readonly T[]): void {
    if (!this.#open) return;
    this.#attempt(() => appendFileSync(this.#path, `${JSON.stringify(one)}\n`));
    this.#lines += 1;
    if (this.#lines % LINES_MAX !== 0) return;
    const left = all();
    if (left.length * 2 < this.#lines) this.begin(left);
  }

  /** The next daemon is told otherwise. */
  end(): void {
    this.#open = false;
    rmSync(this.#path, { force: true });
  }

  #attempt(write: () => void): void {
    try {
      write();
    } catch (error) {
      log.warn(
        { path: this.#path, error: errorMessage(error) },
        'commands are not noted for the next mydockd',
      );
      this.#open = false;
      rmSync(this.#path, { force: true });
    }
  }
}
