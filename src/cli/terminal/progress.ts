/**
 * Shows a progress stream (pull, push, load, build). On a terminal each layer has one line that is redrawn in
 * place, also where there are more layers than rows; elsewhere every change of status is one plain line and bars
 * are left out.
 */
import type { JSONMessage, ProgressDetail } from '../../api/images.ts';
import { CliError } from '../cli-error.ts';
import { humanSize } from '../format/units.ts';
import type { Output } from '../io.ts';

const REDRAW_MS = 50;

/**
 * Reads the stream to its end; `output` undefined shows nothing. `onAux` gets the structured results. Throws
 * `CliError` where the stream carries an error (its code as exit code where it has one, else 1).
 */
export async function showProgress(
  messages: AsyncIterable<JSONMessage>,
  output: Output | undefined,
  onAux: (aux: unknown) => void = () => {},
): Promise<void> {
  const screen = output?.isTTY === true ? new ProgressScreen(output) : undefined;
  try {
    for await (const message of messages) {
      if (message.aux !== undefined) onAux(message.aux);
      const error = message.errorDetail?.message ?? message.error;
      if (error) throw new CliError(error, message.errorDetail?.code || 1);
      if (screen !== undefined) screen.show(message);
      else output?.write(plainLine(message));
    }
  } finally {
    screen?.finish();
  }
}

/** Empty for messages that only move a bar. */
function plainLine(message: JSONMessage): string {
  if (message.stream !== undefined) return message.stream;
  if (message.progressDetail?.current || message.status === undefined) return '';
  return `${message.id ? `${message.id}: ` : ''}${message.status}\n`;
}

/** The lines of all layers; the last `rows` of them are on the screen and can be redrawn. */
class ProgressScreen {
  readonly #output: Output;
  #lines = new Map<string, JSONMessage>();
  #drawnRows = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  show(message: JSONMessage): void {
    if (message.id && message.status !== undefined) {
      this.#lines.set(message.id, message);
      this.#timer ??= setTimeout(() => this.#draw(), REDRAW_MS);
      return;
    }
    const text = message.stream ?? (message.status === undefined ? '' : `${message.status}\n`);
    if (text === '') return;
    // Text between the bars closes them: they stay above it, what follows begins a new block.
    this.finish();
    this.#output.write(text);
  }

  /** Draws the final state of every line and leaves the cursor below it. */
  finish(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#write([...this.#lines.values()].map((line) => this.#text(line)));
    this.#lines = new Map();
    this.#drawnRows = 0;
  }

  #draw(): void {
    this.#timer = undefined;
    this.#write(this.#visible());
  }

  /** Lines that fit the screen: those in motion first to stay; the rest is counted. */
  #visible(): string[] {
    const room = Math.max((this.#output.rows || 24) - 1, 2);
    const lines = [...this.#lines.values()];
    if (lines.length <= room) return lines.map((line) => this.#text(line));
    const moving = lines.filter((line) => !isDone(line)).slice(0, room - 1);
    const done = lines.filter(isDone).length;
    const waiting = lines.length - done - moving.length;
    return [...moving.map((line) => this.#text(line)), `${done} complete, ${waiting} more waiting`];
  }

  #write(lines: readonly string[]): void {
    const up = this.#drawnRows > 0 ? `\x1b[${this.#drawnRows}A` : '';
    // Cleared line by line, then whatever an earlier, longer block left below.
    const text = lines.map((line) => `${line}\x1b[K\n`).join('');
    if (up !== '' || text !== '') this.#output.write(`\r${up}${text}\x1b[J`);
    this.#drawnRows = lines.length;
  }

  #text(message: JSONMessage): string {
    const width = this.#output.columns || 80;
    const head = `${message.id}: ${message.status} `;
    const bar = message.progressDetail?.current
      ? progressBar(message.progressDetail, width - head.length)
      : '';
    return (head + bar).slice(0, width);
  }
}

function isDone(message: JSONMessage): boolean {
  return (
    /complete|already exists|pushed|mounted/i.test(message.status ?? '') &&
    !/^download/i.test(message.status ?? '')
  );
}

const BAR_CELLS = 50;

/** `[=====>     ]  1.2MB/3.4MB`; only the numbers where the line is narrow or the total is not known. */
export function progressBar(detail: ProgressDetail, width: number): string {
  const { current = 0, total = 0 } = detail;
  const units = detail.units;
  const amount = (value: number): string =>
    units === undefined ? humanSize(value).padStart(8) : String(value);
  if (total <= 0 || current > total) return units === undefined ? amount(current) : `${current} ${units}`;
  const filled = Math.trunc((current / total) * BAR_CELLS);
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR_CELLS - filled)}]`
    .slice(0, BAR_CELLS + 2)
    .replace(/[^\]]$/, ']');
  const numbers = detail.hidecounts
    ? ''
    : `${amount(current)}/${units === undefined ? humanSize(total) : `${total} ${units}`}`;
  return width > BAR_CELLS + 25 ? `${bar} ${numbers}` : numbers.trimStart();
}
