/**
 * Running a command as a user would: to its end with all output (`run`), or alive, to be typed at and watched
 * (`LiveCommand`), on pipes or on a terminal. Every command is killed after a time limit.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { timeLimitMs } from '../run/time-limit.ts';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly stdin?: string | Buffer;
  /** Runs it on a terminal of its own (util-linux's script): stderr then arrives in stdout, with CRLF. */
  readonly tty?: boolean;
  /** Rows and columns of that terminal. */
  readonly size?: readonly [rows: number, columns: number];
  readonly env?: NodeJS.ProcessEnv;
  /** Default two minutes, on an ordinary machine. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = timeLimitMs(120_000);
const POLL_MS = 20;
const POLL_MAX_MS = 200;

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

function onTerminal(command: readonly string[], size: readonly [number, number] = [24, 80]): string[] {
  const line = `stty rows ${size[0]} cols ${size[1]}; exec ${command.map(quoted).join(' ')}`;
  return ['script', '-qefc', line, '/dev/null'];
}

/** A running command. */
export class LiveCommand {
  stdout = '';
  stderr = '';
  readonly child: ChildProcessWithoutNullStreams;
  /** Settles when it has ended and all output was read. */
  readonly ended: Promise<Result>;
  readonly #title: string;

  constructor(command: readonly string[], options: CommandOptions = {}) {
    const [file = '', ...args] = options.tty ? onTerminal(command, options.size) : command;
    this.#title = command.join(' ');
    this.child = spawn(file, args, { env: options.env ?? process.env, stdio: 'pipe' });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    // A command may end before it has read its stdin: EPIPE is no error of the test.
    this.child.stdin.on('error', () => {});
    this.ended = this.#end(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    // Whoever awaits `ended` sees the rejection; a test that never does must not die of it.
    this.ended.catch(() => {});
  }

  #end(timeoutMs: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.child.kill('SIGKILL');
        const output = `stdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`;
        reject(new Error(`did not end within ${timeoutMs} ms: ${this.#title}\n${output}`));
      }, timeoutMs);
      this.child.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      this.child.once('close', (code, signal) => {
        clearTimeout(timer);
        const exitCode = code ?? (signal === 'SIGKILL' ? 137 : 143);
        resolve({ code: exitCode, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  type(text: string | Buffer): void {
    this.child.stdin.write(text);
  }

  closeStdin(): void {
    this.child.stdin.end();
  }

  /** Waits until stdout matches; fails with what has been printed after `timeoutMs` (default two minutes). */
  async sees(pattern: RegExp, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<RegExpMatchArray> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      const match = this.stdout.match(pattern);
      if (match !== null) return match;
      await sleep(10);
    }
    throw new Error(
      `${this.#title}: no ${pattern} within ${timeoutMs} ms\nstdout: ${this.stdout}\nstderr: ${this.stderr}`,
    );
  }
}

/** Runs a command to its end. */
export async function run(command: readonly string[], options: CommandOptions = {}): Promise<Result> {
  const live = new LiveCommand(command, options);
  live.child.stdin.end(options.stdin ?? '');
  return await live.ended;
}

/**
 * Polls until `probe` returns something other than undefined or false; fails naming `what` after `timeoutMs`. Between
 * two probes it waits as long as one took: a probe that is a command would else keep a processor busy.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const beganAt = performance.now();
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    const now = performance.now();
    if (now > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(Math.min(Math.max(POLL_MS, now - beganAt), POLL_MAX_MS));
  }
}
