/** The key sequence that leaves a container running, as text (`ctrl-p,ctrl-q`) and as bytes. */
import { CliError } from '../cli-error.ts';

const DEFAULT_SEQUENCE = [0x10, 0x11];

/** Bytes of a `--detach-keys` value: single characters or `ctrl-<key>`, separated by commas. Empty: the default. */
export function parseDetachKeys(text: string | undefined): readonly number[] {
  if (text === undefined || text === '') return DEFAULT_SEQUENCE;
  return text.split(',').map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) - 0x40;
    if (key.length === 1) return key.charCodeAt(0);
    throw new CliError(`invalid detach keys (${text}): unknown character: '${key}'`);
  });
}

/** Notices when the sequence goes by; the daemon is who acts on it. */
export class DetachWatch {
  readonly #sequence: readonly number[];
  #matched = 0;
  #seen = false;

  constructor(sequence: readonly number[]) {
    this.#sequence = sequence;
  }

  /** True once the whole sequence has been typed. */
  get seen(): boolean {
    return this.#seen;
  }

  look(chunk: Uint8Array): void {
    for (const byte of chunk) {
      if (byte !== this.#sequence[this.#matched]) this.#matched = 0;
      if (byte === this.#sequence[this.#matched]) this.#matched++;
      if (this.#matched === this.#sequence.length) {
        this.#seen = true;
        this.#matched = 0;
      }
    }
  }
}
