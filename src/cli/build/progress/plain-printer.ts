/**
 * Progress as lines, in the format of BuildKit's clients: `#5 [2/4] RUN make`, `#5 0.123 text`, `#5 DONE 0.3s`. One step
 * at a time is shown; what others print meanwhile waits until it is over, or has nothing to say.
 */
import type { BuildStatus, BuildVertexStatus } from '../../../api/build-status.ts';
import { printableLine } from '../../format/text.ts';
import type { Output } from '../../io.ts';
import { amountBytes, amountSeconds } from './amount-text.ts';
import type { BuildPrinter, PrinterOptions } from './build-printer.ts';
import { type BuildRecord, type BuildStep, isCanceled, secondsBetween } from './build-record.ts';

/** A step that has been silent for so long gives way to one that waits. */
const SILENCE_MS = 3000;
/** As one that holds so much does not wait any more. */
const HELD_MAX_CHARS = 256 * 1024;
/** Between two lines about the same growing amount. */
const AMOUNT_SEC = 5;
const AT_ONCE_SEC = 0.5;

interface ShownStep {
  readonly step: BuildStep;
  index: number;
  held: string[];
  heldChars: number;
  ended: boolean;
  readonly amounts: Map<string, { seconds: number; done: boolean }>;
}

export class PlainPrinter implements BuildPrinter {
  readonly #output: Output;
  readonly #record: BuildRecord;
  readonly #now: () => number;
  readonly #shown = new Map<string, ShownStep>();
  /** Steps that hold something. */
  readonly #waiting = new Set<ShownStep>();
  #current: ShownStep | undefined;
  #spokeMs = 0;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ output, record, now }: PrinterOptions) {
    this.#output = output;
    this.#record = record;
    this.#now = now;
  }

  status(status: BuildStatus): void {
    this.#record.take(status, (step, { seconds, text }) => {
      const shown = this.#of(step);
      // A step that ends may have had a line without its end.
      this.#say(shown, `${seconds.toFixed(4).slice(0, 5)} ${text}`);
    });
    for (const { id, vertex } of status.statuses ?? []) {
      const step = this.#record.steps.get(vertex);
      const amount = step?.amounts.get(id);
      if (step !== undefined && amount !== undefined) this.#amount(this.#of(step), amount);
    }
    for (const { digest } of status.vertexes ?? []) {
      const step = this.#record.steps.get(digest);
      if (step?.started !== undefined) this.#state(this.#of(step));
    }
    this.#advance();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const shown of this.#waiting) this.#focus(shown);
  }

  #of(step: BuildStep): ShownStep {
    const known = this.#shown.get(step.digest);
    if (known !== undefined) return known;
    const shown = { step, index: 0, held: [], heldChars: 0, ended: false, amounts: new Map() };
    this.#shown.set(step.digest, shown);
    return shown;
  }

  #state(shown: ShownStep): void {
    const { started, completed, cached, error } = shown.step;
    // Its name alone is worth a line.
    if (shown.index === 0) this.#waiting.add(shown);
    // A build that is tried again comes to its steps once more.
    if (completed === undefined) shown.ended = false;
    if (completed === undefined || shown.ended) return;
    if (error !== undefined) this.#say(shown, isCanceled(shown.step) ? 'CANCELED' : `ERROR: ${error}`);
    else if (cached) this.#say(shown, 'CACHED');
    else this.#say(shown, `DONE ${secondsBetween(started ?? completed, completed).toFixed(1)}s`);
    shown.ended = true;
  }

  #amount(shown: ShownStep, amount: BuildVertexStatus): void {
    const last = shown.amounts.get(amount.id);
    const seconds = amountSeconds(amount);
    const done = amount.completed !== undefined;
    // What is done at once needs no line for its beginning.
    const before = last?.seconds ?? AT_ONCE_SEC - AMOUNT_SEC;
    if (last?.done === true || (!done && seconds - before < AMOUNT_SEC)) return;
    shown.amounts.set(amount.id, { seconds, done });
    const time = seconds > 0.01 ? ` ${seconds.toFixed(1)}s` : '';
    this.#say(shown, `${printableLine(amount.id)}${amountBytes(amount)}${time}${done ? ' done' : ''}`);
  }

  #say(shown: ShownStep, text: string): void {
    if (shown === this.#current) {
      this.#write(shown, text);
      return;
    }
    shown.held.push(text);
    shown.heldChars += text.length + 1;
    this.#waiting.add(shown);
    if (shown.heldChars > HELD_MAX_CHARS) this.#focus(shown);
  }

  #write(shown: ShownStep, text: string): void {
    this.#output.write(`#${shown.index} ${text}\n`);
    this.#spokeMs = this.#now();
  }

  /** Whoever waits is shown, as soon as the one that is shown is over or silent. */
  #advance(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      const current = this.#current;
      if (current !== undefined && !current.ended) {
        const speaks = [...this.#waiting].find(({ held }) => held.length > 0);
        const silentMs = this.#now() - this.#spokeMs;
        if (speaks === undefined) return;
        if (silentMs < SILENCE_MS) {
          this.#timer ??= setTimeout(() => this.#late(), SILENCE_MS - silentMs + 1);
          return;
        }
        this.#focus(speaks);
        continue;
      }
      this.#focus(next);
    }
  }

  #late(): void {
    this.#timer = undefined;
    this.#advance();
  }

  #focus(shown: ShownStep): void {
    this.#waiting.delete(shown);
    const before = this.#current;
    if (shown !== before) {
      if (before !== undefined && !before.ended) this.#write(before, '...');
      if (before !== undefined) this.#output.write('\n');
      if (shown.index === 0) shown.index = ++this.#count;
      this.#current = shown;
      this.#write(shown, printableLine(shown.step.name));
    }
    for (const text of shown.held.splice(0)) this.#write(shown, text);
    shown.heldChars = 0;
  }
}
