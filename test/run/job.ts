/**
 * One process that runs tests: its records (from reporter.ts, or from its exit status for a program that is no Node
 * test), its other output, the processor time that it and its children took, and a timeout after which it and all of
 * them are killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { RECORD_PREFIX, type TestRecord } from './reporter.ts';

/** A native test's exit status that means "skipped"; its last line says why (automake's convention). */
export const SKIP_STATUS = 77;

/** Runs a command and says on descriptor 3 what it and all that was waited for below it took: Node cannot tell. */
const MEASURE = '"$@" 3>&-; status=$?; times >&3; exit $status';
/** What the shell makes of a signal. */
const SIGNAL_STATUS = 128;

export class Job {
  readonly name: string;
  readonly records: TestRecord[] = [];
  /** What the tests printed themselves. */
  output = '';
  durationMs = 0;
  /** User's and system's processor time of all processes; 0 where it was killed. */
  processorMs = 0;
  /** Is told of every Node test and every line of a program as it comes: shows where a run hangs. */
  onProgress: ((text: string) => void) | undefined;

  readonly #command: readonly string[];
  readonly #timeoutMs: number;
  readonly #files: readonly string[] | undefined;

  /** `files` are given for Node tests, each of which must then report at least one test. */
  constructor(name: string, command: readonly string[], timeoutMs: number, files?: readonly string[]) {
    this.name = name;
    this.#command = command;
    this.#timeoutMs = timeoutMs;
    this.#files = files;
  }

  /** Runs it to its end, or until `signal` aborts; never throws: what goes wrong becomes a failed record. */
  async run(directory: string, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const child = spawn('sh', ['-c', MEASURE, 'sh', ...this.#command], {
      cwd: directory,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, this.#timeoutMs);
    const stop = (): void => killGroup(child);
    signal.addEventListener('abort', stop);
    const status = await this.#finish(child);
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    killGroup(child);
    this.durationMs = performance.now() - startedAt;
    this.#judge(timedOut ? `did not end within ${this.#timeoutMs / 1000} s and was killed` : status);
  }

  async #finish(child: ChildProcess): Promise<string> {
    let pending = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (pending + text).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) this.#line(line);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    let times = '';
    (child.stdio[3] as Readable).on('data', (text: Buffer) => {
      times += text.toString();
    });
    return await new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      // `close` would wait for every process that inherited the pipes, `exit` for this one alone.
      child.once('exit', (code, signal) => {
        setTimeout(() => {
          this.#line(pending);
          this.processorMs = processorMs(times);
          if (signal !== null) resolve(`was killed by ${signal}`);
          else if (code === null || code <= SIGNAL_STATUS) resolve(String(code));
          else resolve(`was killed by signal ${code - SIGNAL_STATUS}`);
        }, 20);
      });
    });
  }

  #line(line: string): void {
    if (!line.startsWith(RECORD_PREFIX)) {
      if (line !== '') this.output += `${line}\n`;
      if (this.#files === undefined && line !== '') this.onProgress?.(line);
      return;
    }
    const record = JSON.parse(line.slice(RECORD_PREFIX.length)) as TestRecord;
    this.records.push(record);
    this.onProgress?.(`${record.outcome} ${record.name} (${Math.round(record.durationMs)} ms)`);
  }

  #add(outcome: TestRecord['outcome'], detail: string): void {
    this.records.push({ name: this.name, file: '', outcome, durationMs: this.durationMs, detail });
  }

  /** A program prints a line a case ("ok NAME", "not ok NAME: why", "skip NAME: why"), or has its status alone. */
  #judgeProgram(status: string): void {
    for (const line of this.output.split('\n')) {
      const [, word, text = ''] = /^(ok|not ok|skip) (.*)$/.exec(line) ?? [];
      if (word === undefined) continue;
      const [name = '', ...why] = text.split(': ');
      const outcome = word === 'ok' ? 'passed' : word === 'skip' ? 'skipped' : 'failed';
      this.records.push({ name, file: this.name, outcome, durationMs: 0, detail: why.join(': ') });
    }
    if (status === String(SKIP_STATUS)) this.#add('skipped', this.output.trim().split('\n').at(-1) ?? '');
    else if (status !== '0') this.#add('failed', `exit status ${status}`);
    else if (this.records.length === 0) this.#add('passed', '');
  }

  /** `status`: the exit code as text, or a sentence. */
  #judge(status: string): void {
    if (this.#files === undefined) {
      this.#judgeProgram(status);
      return;
    }
    const anyFailed = this.records.some((record) => record.outcome === 'failed');
    if (status !== '0' && !anyFailed) {
      this.#add('failed', `the test process ended with: ${status}`);
      return;
    }
    for (const file of this.#files) {
      if (!this.records.some((record) => record.file.endsWith(file))) {
        this.#add('failed', `${file} reported no test`);
      }
    }
  }
}

/** The second line of `times`: user's and system's time of a shell's children, as "1m2.34s 0m0.56s". */
function processorMs(times: string): number {
  const [, children = ''] = times.split('\n');
  return children
    .split(' ')
    .map((time) => /^(\d+)m([\d.]+)s$/.exec(time))
    .reduce((sum, match) => sum + Number(match?.[1] ?? 0) * 60_000 + Number(match?.[2] ?? 0) * 1000, 0);
}

/** Kills the whole process group: a test's own children must not live on. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing of the group is left, which is what was wanted.
  }
}
