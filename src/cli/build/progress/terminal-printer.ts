/**
 * Progress on a terminal, as BuildKit's clients draw it: a line for each step with its time, under it what it transfers and
 * the last lines that it printed. It is drawn over and over at the same place, in one write, each line over the one before;
 * at the end all steps are written once more and stay.
 */
import type { BuildStatus } from '../../../api/build-status.ts';
import type { Output } from '../../io.ts';
import { cutToWidth, textWidth } from '../../terminal/text-width.ts';
import { amountBytes, amountSeconds } from './amount-text.ts';
import type { BuildPrinter, PrinterOptions } from './build-printer.ts';
import { type BuildRecord, type BuildStep, isCanceled, secondsBetween } from './build-record.ts';
import { quietLine } from './log-lines.ts';

const REDRAW_MS = 100;
const LOG_LINES = 6;
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

interface Row {
  readonly text: string;
  /** At the right edge. */
  readonly time?: string;
  readonly color?: 'blue' | 'red' | 'faint';
}

const COLORS = { blue: '\x1b[34m', red: '\x1b[31m', faint: '\x1b[2m' };

export class TerminalPrinter implements BuildPrinter {
  readonly #output: Output;
  readonly #record: BuildRecord;
  readonly #color: boolean;
  readonly #now: () => number;
  readonly #startedMs: number;
  /** What the daemon's clock lies behind ours. */
  #skewMs: number | undefined;
  /** Widths of the lines that are on the screen. */
  #drawn: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor({ output, record, color, now }: PrinterOptions) {
    this.#output = output;
    this.#record = record;
    this.#color = color;
    this.#now = now;
    this.#startedMs = now();
    output.write(HIDE_CURSOR);
    output.on('resize', this.#draw);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, this.#killed);
    this.#timer = setInterval(this.#draw, REDRAW_MS);
    this.#timer.unref();
  }

  status(status: BuildStatus): void {
    const started = status.vertexes?.find((vertex) => vertex.started !== undefined)?.started;
    if (started !== undefined) this.#skewMs ??= this.#now() - Date.parse(started);
    this.#record.take(status);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#output.off('resize', this.#draw);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#killed);
    const blocks = this.#blocks(true);
    this.#write([this.#head(), ...blocks.flat()]);
    this.#output.write(SHOW_CURSOR);
  }

  /** The terminal is given back as it was; then the signal does what it does. */
  readonly #killed = (signal: NodeJS.Signals): void => {
    this.end();
    process.kill(process.pid, signal);
  };

  readonly #draw = (): void => {
    // A terminal that does not keep up gets the newest state once it does.
    if (this.#over || this.#output.writableNeedDrain === true) return;
    const room = Math.max((this.#output.rows || 24) - 2, 3);
    this.#write([this.#head(), ...fitting(this.#blocks(false), room)]);
  };

  #head(): Row {
    const steps = [...this.#record.steps.values()];
    const done = steps.filter(({ completed }) => completed !== undefined).length;
    const seconds = Math.max(0, this.#now() - this.#startedMs) / 1000;
    const finished = this.#over && done === steps.length && done > 0;
    const text = `[+] Building ${seconds.toFixed(1)}s (${done}/${steps.length})${finished ? ' FINISHED' : ''}`;
    return { text, ...(finished ? { color: 'blue' as const } : {}) };
  }

  /** The rows of each step that has begun. */
  #blocks(final: boolean): Row[][] {
    return [...this.#record.steps.values()]
      .filter(({ started }) => started !== undefined)
      .map((step) => this.#rowsOf(step, final));
  }

  #rowsOf(step: BuildStep, final: boolean): Row[] {
    const { started = '', completed, cached, error } = step;
    const nowText = new Date(this.#now() - (this.#skewMs ?? 0)).toISOString();
    const seconds = secondsBetween(started, completed ?? nowText);
    const canceled = isCanceled(step);
    const mark = canceled ? 'CANCELED ' : error !== undefined ? 'ERROR ' : cached ? 'CACHED ' : '';
    const color = error !== undefined && !canceled ? 'red' : completed !== undefined ? 'blue' : undefined;
    const rows: Row[] = [
      {
        text: ` => ${mark}${quietLine(step.name.replaceAll('\n', ' '))}`,
        time: `${seconds.toFixed(1)}s`,
        ...(color === undefined ? {} : { color }),
      },
    ];
    for (const amount of step.amounts.values()) {
      rows.push({
        text: ` => => ${quietLine(amount.id)}${amountBytes(amount)}`,
        time: `${amountSeconds(amount).toFixed(1)}s`,
        ...(amount.completed === undefined ? {} : { color: 'blue' as const }),
      });
    }
    if (completed !== undefined || final) return rows;
    for (const { text } of step.tail.slice(-LOG_LINES)) {
      rows.push({ text: ` => => # ${quietLine(text)}`, color: 'faint' });
    }
    return rows;
  }

  #write(rows: readonly Row[]): void {
    const width = Math.max((this.#output.columns || 80) - 1, 20);
    const texts = rows.map((row) => rowText(row, width));
    // Where the terminal has become narrower, what was drawn takes more lines than it did.
    const up = this.#drawn.reduce((sum, drawn) => sum + Math.max(1, Math.ceil(drawn / (width + 1))), 0);
    const lines = rows.map((row, index) => `${this.#colored(row, texts[index] ?? '')}\x1b[K\n`).join('');
    this.#output.write(`\r${up > 0 ? `\x1b[${up}A` : ''}${lines}\x1b[J`);
    this.#drawn = texts.map(textWidth);
  }

  #colored({ color }: Row, text: string): string {
    return this.#color && color !== undefined ? `${COLORS[color]}${text}\x1b[0m` : text;
  }
}

function rowText({ text, time }: Row, width: number): string {
  if (time === undefined) return cutToWidth(text, width);
  const cut = cutToWidth(text, Math.max(width - time.length - 1, 0));
  return `${cut}${' '.repeat(Math.max(width - textWidth(cut) - time.length, 1))}${time}`;
}

/** Steps that are over go first, the oldest of them before all; then what steps print and transfer. */
function fitting(blocks: readonly Row[][], room: number): Row[] {
  let rows = blocks.reduce((sum, { length }) => sum + length, 0);
  const kept = [...blocks];
  for (let index = 0; rows > room && index < kept.length; index++) {
    const [first] = kept[index] ?? [];
    if (first?.color === undefined) continue;
    rows -= kept[index]?.length ?? 0;
    kept[index] = [];
  }
  if (rows <= room) return kept.flat();
  const short = kept.flatMap(([first]) => (first === undefined ? [] : [first]));
  return short.slice(-room);
}
