/**
 * The streams and surroundings that a verb may touch. Verbs get them passed in, so that tests can hand them
 * strings and read what was written.
 */
import { writeSync } from 'node:fs';
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

/** Which of the two. */
export type Target = 'stdout' | 'stderr';

export interface Io {
  /** Touched only when a verb reads input: opening it costs time and keeps the process alive. */
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Unix milliseconds; the base of every "3 minutes ago". */
  now(): number;
  /**
   * Writes at once, without Node's streams, which take a while to load. False, and nothing written, where a stream is in
   * use already or wanted. `data` is not kept.
   */
  writeNow?(target: Target, data: string | Uint8Array): boolean;
  /** Lets go of stdin where it was read, so that the process can end. */
  closeInput(): void;
}

let stdinTouched = false;

const gone = Promise.withResolvers<number>();
const guarded = new Set<Output>();
const streamsInUse = new Set<Target>();

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
    streamsInUse.add('stdout');
    return guard(process.stdout);
  },
  get stderr(): Output {
    streamsInUse.add('stderr');
    return guard(process.stderr);
  },
  get env() {
    return process.env;
  },
  get cwd() {
    return process.cwd();
  },
  now: () => Date.now(),
  writeNow(target, data) {
    if (streamsInUse.has(target)) return false;
    let rest = typeof data === 'string' ? Buffer.from(data) : data;
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(target === 'stdout' ? 1 : 2, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') gone.resolve(128 + 13);
      // Somebody has made it one that does not wait: Node's stream knows how to.
      else if (code === 'EAGAIN') this[target].write(Buffer.from(rest));
      else throw error;
    }
    return true;
  },
  closeInput() {
    if (stdinTouched) process.stdin.destroy();
  },
};

/** Writes a line to stdout. */
export function printLine(io: Io, line: string): void {
  write(io, 'stdout', `${line}\n`);
}

/** Writes a line to stderr. */
export function printError(io: Io, line: string): void {
  write(io, 'stderr', `${line}\n`);
}

function write(io: Io, target: Target, text: string): void {
  if (io.writeNow?.(target, text) !== true) io[target].write(text);
}
