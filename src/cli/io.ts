/**
 * The streams and surroundings that a verb may touch. Verbs get them passed in, so that tests can hand them
 * strings and read what was written.
 */
import type { Readable, Writable } from 'node:stream';

/** A stream that may be a terminal. */
export interface Output extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface Input extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

export interface Io {
  /** Touched only when a verb reads input: opening it costs time and keeps the process alive. */
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Unix milliseconds; the base of every "3 minutes ago". */
  now(): number;
  /** Lets go of stdin where it was read, so that the process can end. */
  closeInput(): void;
}

let stdinTouched = false;

const gone = Promise.withResolvers<number>();
const guarded = new Set<Output>();

/**
 * Settles where nothing more can be written, which ends the program with this exit code: without a word where a reader
 * has gone away (`| head`), as SIGPIPE would.
 */
export const readerGone: Promise<number> = gone.promise;

/** Node makes its streams at the first touch, which takes a while: here that is the first output. */
function guard(output: Output): Output {
  if (guarded.has(output)) return output;
  guarded.add(output);
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return gone.resolve(128 + 13);
    // A full disk, a terminal that hung up.
    if (output !== process.stderr) printError(processIo, `cannot write the output: ${error.message}`);
    gone.resolve(1);
  });
  return output;
}

/** The process's own streams. */
export const processIo: Io = {
  get stdin(): Input {
    stdinTouched = true;
    return process.stdin;
  },
  get stdout(): Output {
    return guard(process.stdout);
  },
  get stderr(): Output {
    return guard(process.stderr);
  },
  get env() {
    return process.env;
  },
  get cwd() {
    return process.cwd();
  },
  now: () => Date.now(),
  closeInput() {
    if (stdinTouched) process.stdin.destroy();
  },
};

/** Writes a line to stdout. */
export function printLine(io: Io, line: string): void {
  io.stdout.write(`${line}\n`);
}

/** Writes a line to stderr. */
export function printError(io: Io, line: string): void {
  io.stderr.write(`${line}\n`);
}
