/**
 * `--trace FILE`: what this process does and how long it takes, as Chrome trace events (JSON array format), for
 * https://ui.perfetto.dev or chrome://tracing. Times are microseconds of the wall clock as it was when the process
 * began, so that the traces of several processes lie over each other.
 *
 * Each event is a line. A file whose process was killed lacks the closing bracket, which readers of the format allow.
 * Contents: Node's own start, steps (steps.ts), spans (spans.ts). No bodies, no queries, no environment.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { errorMessage, InvalidParameterError } from './errors.ts';
import { SPANS_CHANNEL, type SpanDetails, type SpanEvent } from './spans.ts';
import { STEPS_CHANNEL, type StepEvent } from './steps.ts';

/** A trace that would become longer says so and ends; some 1.5 million events. */
export const TRACE_MAX_BYTES = 256 * 1024 * 1024;

/** What is not written yet is at most this much, and this old. */
const BUFFER_BYTES = 64 * 1024;
const BUFFER_MS = 100;

const MAIN_THREAD = 1;

export interface TraceOptions {
  /** `%p` in it stands for the process ID. An existing file is emptied. */
  path: string;
  /** What the process is called. */
  name: string;
  /** Unix time in microseconds at which the process was started, where that is known better than Node knows it. */
  launchedUs?: number | undefined;
  maxBytes?: number;
  /** Told once where the file cannot be written any more. The trace has ended then. */
  onFailure: (message: string) => void;
}

/** Begins a trace. Throws InvalidParameter where the file cannot be made. */
export function startTrace(options: TraceOptions): Trace {
  return new Trace(options);
}

export class Trace {
  readonly #fd: number;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #onFailure: (message: string) => void;
  #pending = '';
  #written = 0;
  #timer: NodeJS.Timeout | undefined;
  #open = true;
  #lastWhole = 0;
  #loopIsKnown = false;

  constructor({ path, name, launchedUs, maxBytes = TRACE_MAX_BYTES, onFailure }: TraceOptions) {
    this.#path = path.replaceAll('%p', String(process.pid));
    this.#maxBytes = maxBytes;
    this.#onFailure = onFailure;
    try {
      const { O_WRONLY, O_CREAT, O_TRUNC } = constants;
      this.#fd = openSync(this.#path, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
    } catch (error) {
      throw new InvalidParameterError(`cannot write the trace ${this.#path}: ${errorMessage(error)}`, error);
    }
    this.#pending = '[\n';
    this.#event({ ph: 'M', name: 'process_name', args: { name: `${name} ${process.pid}` } });
    this.#event({ ph: 'M', name: 'thread_name', args: { name: 'main' } });
    this.#nodeStart(launchedUs);
    subscribe(STEPS_CHANNEL, this.#onStep);
    subscribe(SPANS_CHANNEL, this.#onSpan);
    process.on('exit', this.#onExit);
  }

  /** Writes all that has happened and closes the file. Idempotent. */
  end(): void {
    if (!this.#open) return;
    this.#loopStart();
    this.#pending += `${this.#line({ ph: 'i', s: 'p', name: 'end', ts: nowUs() })}\n]\n`;
    this.#flush();
    this.#close();
  }

  #close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    unsubscribe(STEPS_CHANNEL, this.#onStep);
    unsubscribe(SPANS_CHANNEL, this.#onSpan);
    process.off('exit', this.#onExit);
    closeSync(this.#fd);
  }

  /** From the first instruction to the one that began this trace. */
  #nodeStart(launchedUs: number | undefined): void {
    const { v8Start, environment, bootstrapComplete } = performance.nodeTiming;
    const origin = performance.timeOrigin * 1000;
    if (launchedUs !== undefined && launchedUs <= origin) {
      this.#whole('start: the program is loaded', launchedUs, origin);
    }
    this.#whole('start: Node', origin, origin + v8Start * 1000);
    this.#whole('start: V8', origin + v8Start * 1000, origin + environment * 1000);
    this.#whole("start: Node's environment", origin + environment * 1000, origin + bootstrapComplete * 1000);
    this.#whole('start: own code', origin + bootstrapComplete * 1000, nowUs());
  }

  /** Known only later: the event loop runs when the main module was evaluated. */
  #loopStart(): void {
    const { loopStart } = performance.nodeTiming;
    if (this.#loopIsKnown || loopStart < 0) return;
    this.#loopIsKnown = true;
    this.#event({
      ph: 'i',
      s: 't',
      name: 'the event loop starts',
      ts: (performance.timeOrigin + loopStart) * 1000,
    });
  }

  #whole(name: string, startUs: number, endUs: number, category = 'start', args: SpanDetails = {}): void {
    this.#event({ ph: 'X', cat: category, name, ts: startUs, dur: Math.max(0, endUs - startUs), args });
  }

  /** Steps overlap freely: each is an asynchronous event of its own. */
  readonly #onStep = (message: unknown): void => {
    const { phase, label, subject, id } = message as StepEvent;
    this.#event({
      ph: phase === 'begin' ? 'b' : 'e',
      cat: 'step',
      name: label,
      id: `s${id}`,
      ts: nowUs(),
      ...(phase === 'begin' && subject !== undefined ? { args: { subject } } : {}),
    });
  };

  readonly #onSpan = (message: unknown): void => {
    const span = message as SpanEvent;
    if (span.phase === 'whole') {
      const { name, startUs, durationUs, category, details } = span;
      const id = `w${++this.#lastWhole}`;
      this.#event({ ph: 'b', cat: category, name, id, ts: startUs, args: details });
      this.#event({ ph: 'e', cat: category, name, id, ts: startUs + durationUs });
      return;
    }
    const { phase, category, name, id, details } = span;
    this.#event({
      ph: phase === 'begin' ? 'b' : 'e',
      cat: category,
      name,
      id: `p${id}`,
      ts: nowUs(),
      args: details,
    });
  };
  readonly #onExit = (): void => this.end();

  #event(event: Record<string, unknown>): void {
    if (!this.#open) return;
    this.#pending += `${this.#line(event)},\n`;
    if (this.#pending.length >= BUFFER_BYTES) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), BUFFER_MS).unref();
  }

  #line(event: Record<string, unknown>): string {
    return JSON.stringify({ ...event, pid: process.pid, tid: MAIN_THREAD });
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = Buffer.from(this.#pending);
    this.#pending = '';
    if (this.#written + text.length > this.#maxBytes) {
      const full = this.#line({ ph: 'i', s: 'p', name: 'the trace is full', ts: nowUs() });
      this.#stop(`it has ${this.#maxBytes} bytes`, `${full}\n]\n`);
      return;
    }
    try {
      for (let at = 0; at < text.length; ) at += writeSync(this.#fd, text, at);
      this.#written += text.length;
    } catch (error) {
      this.#stop(errorMessage(error), '');
    }
  }

  #stop(why: string, lastWords: string): void {
    try {
      if (lastWords !== '') writeSync(this.#fd, lastWords);
    } catch {
      // The message below is all that can be said.
    }
    this.#close();
    this.#onFailure(`the trace ${this.#path} ends here: ${why}`);
  }
}

/** Unix time, as the clock went on since the process began: steps of the clock do not disturb a trace. */
function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}
