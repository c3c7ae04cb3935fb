/**
 * One process that runs tests: its records (from reporter.ts, or from its exit status for a program that is no Node
 * test), its other output, and a timeout after which it and all of its children are killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { RECORD_PREFIX, type TestRecord } from './reporter.ts';

/** A native test's exit status that means "skipped"; its last line says why (automake's convention). */
export const SKIP_STATUS = 77;

export class Job {
  readonly name: string;
  readonly records: TestRecord[] = [];
  /** What the tests printed themselves. */
  output = '';
  durationMs = 0;
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
    const [file = '', ...args] = this.#command;
    const child = spawn(file, args, { cwd: directory, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
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
    return await new Promise((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      // `close` would wait for every process that inherited the pipes, `exit` for this one alone.
      child.once('exit', (code, signal) => {
        setTimeout(() => {
          this.#line(pending);
          resolve(signal === null ? String(code) : `was killed by ${signal}`);
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

/** Kills the whole process group: a test's own children must not live on. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing of the group is left, which is what was wanted.
  }
}
