/** Test fixture: streams and surroundings of a run, with everything that was written. */
import { PassThrough, Readable } from 'node:stream';
import type { Input, Io, Output } from './io.ts';

export interface TestIo extends Io {
  readonly out: () => string;
  readonly err: () => string;
}

export interface TestSurroundings {
  readonly stdin?: Iterable<string | Buffer>;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly nowMs?: number;
  /** Makes stdout a terminal of this size. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** Hears what is written to stdout. */
  readonly onOutput?: (text: string) => void;
}

export function testIo(surroundings: TestSurroundings = {}): TestIo {
  const stdout = recorder(surroundings.onOutput);
  const stderr = recorder();
  const { terminal } = surroundings;
  if (terminal !== undefined) Object.assign(stdout.stream, { isTTY: true, ...terminal });
  return {
    stdin: Readable.from(surroundings.stdin ?? [], { objectMode: false }) as Input,
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: surroundings.env ?? {},
    cwd: surroundings.cwd ?? '/',
    now: () => surroundings.nowMs ?? 0,
    closeInput() {},
    out: stdout.text,
    err: stderr.text,
  };
}

function recorder(onText: (text: string) => void = () => {}): { stream: Output; text: () => string } {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    onText(chunk.toString());
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
