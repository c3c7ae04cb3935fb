/**
 * Joins the user's streams with a hijacked connection: stdin to the container with half-close, its output to
 * stdout and stderr with backpressure. Output is handed on in the chunks it came in, never as text.
 */
import type { Readable, Writable } from 'node:stream';
import { FrameDecoder, STREAM_STDERR, STREAM_SYSTEM_ERROR, type StreamCode } from '../../api/stream.ts';
import type { HijackedStream } from '../../client/client.ts';
import type { Input, Io } from '../io.ts';
import type { DetachWatch } from './detach-keys.ts';
import { enterRawMode } from './raw-mode.ts';

export interface CopyOptions {
  /** The output is a terminal's: raw bytes, and stdin goes into raw mode. */
  readonly tty: boolean;
  /** Pass stdin on. */
  readonly stdin: boolean;
  /** Looks at stdin for the detach keys. */
  readonly watch?: DetachWatch;
}

/** Resolves when the output has ended and is written; the terminal is restored by then. */
export async function copyStreams(io: Io, stream: HijackedStream, options: CopyOptions): Promise<void> {
  const restore = options.tty && options.stdin ? enterRawMode(io.stdin) : undefined;
  const stopInput = options.stdin ? copyInput(io.stdin, stream.input, options.watch) : undefined;
  if (!options.stdin) stream.input.on('error', ignoreGone);
  try {
    await copyOutput(stream.output, io.stdout, io.stderr, options.tty);
  } finally {
    stopInput?.();
    restore?.();
    stream.destroy();
  }
}

/** Resolves when `output` has ended. Rejects where the connection breaks or a frame is malformed. */
export function copyOutput(
  output: Readable,
  stdout: Writable,
  stderr: Writable,
  raw: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const batch = new OutputBatch(output, stdout, stderr);
    const decoder = raw ? undefined : new FrameDecoder((code, payload) => batch.add(code, payload));
    output.on('data', (chunk: Buffer) => {
      try {
        if (decoder === undefined) batch.add(1, chunk);
        else decoder.push(chunk);
        batch.flush();
      } catch (error) {
        reject(error);
        output.destroy();
      }
    });
    output.once('end', () => {
      if (decoder === undefined || decoder.complete) batch.whenWritten(resolve);
      else reject(new Error('unexpected EOF'));
    });
    output.once('close', () => batch.whenWritten(resolve));
    output.once('error', reject);
    // A connection that was handed over is paused.
    output.resume();
  });
}

/** Collects the payloads of one chunk, so that they reach each descriptor in one writev. */
class OutputBatch {
  readonly #source: Readable;
  readonly #stdout: Writable;
  readonly #stderr: Writable;
  #target: Writable | undefined;
  #payloads: Buffer[] = [];
  #full = new Set<Writable>();
  #whenEmpty: (() => void) | undefined;

  constructor(source: Readable, stdout: Writable, stderr: Writable) {
    this.#source = source;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  add(code: StreamCode, payload: Buffer): void {
    const target = code === STREAM_STDERR || code === STREAM_SYSTEM_ERROR ? this.#stderr : this.#stdout;
    if (target !== this.#target) this.flush();
    this.#target = target;
    this.#payloads.push(payload);
  }

  flush(): void {
    const target = this.#target;
    if (target === undefined || this.#payloads.length === 0) return;
    const payloads = this.#payloads;
    this.#payloads = [];
    let room = true;
    if (payloads.length > 1) target.cork();
    for (const payload of payloads) room = target.write(payload);
    if (payloads.length > 1) target.uncork();
    if (!room && !this.#full.has(target)) this.#waitFor(target);
  }

  /** Calls back once no stream has anything left to write. */
  whenWritten(callback: () => void): void {
    if (this.#full.size === 0) callback();
    else this.#whenEmpty = callback;
  }

  #waitFor(target: Writable): void {
    this.#full.add(target);
    this.#source.pause();
    target.once('drain', () => {
      this.#full.delete(target);
      if (this.#full.size > 0) return;
      this.#source.resume();
      this.#whenEmpty?.();
    });
  }
}

function copyInput(stdin: Input, target: Writable, watch: DetachWatch | undefined): () => void {
  const onData = (chunk: Buffer): void => {
    watch?.look(chunk);
    if (!target.writable || target.write(chunk)) return;
    stdin.pause();
    target.once('drain', () => stdin.resume());
  };
  const onEnd = (): void => {
    target.end();
  };
  target.on('error', ignoreGone);
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  // A closed or unreadable stdin is an empty one.
  stdin.once('error', onEnd);
  return () => {
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.pause();
  };
}

/** What is typed after the container's end has nowhere to go. */
function ignoreGone(): void {}
