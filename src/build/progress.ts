/**
 * Tells how a build goes on: the steps that it has, when they begin and end, what they print. Everything goes out as
 * BuildStatus messages, in order; printers and protocols stand behind `send`.
 */
import { createHash } from 'node:crypto';
import type { BuildSourceRange, BuildStatus, BuildVertex } from '../api/build-status.ts';
import { errorMessage } from '../base/errors.ts';

export interface BuildWarning {
  /** The rule's name, as `JSONArgsRecommended`; empty for warnings of the engine. */
  rule: string;
  message: string;
  description?: string;
  url?: string;
  source?: { filename: string; content: string };
  range?: BuildSourceRange;
}

/** One step, from its announcement to its end. */
export class ProgressVertex {
  readonly digest: string;
  readonly #send: (status: BuildStatus) => void;
  #vertex: BuildVertex;
  /** As an earlier try left it; clients have that still. */
  #before: BuildVertex | undefined;

  constructor(vertex: BuildVertex, send: (status: BuildStatus) => void) {
    this.digest = vertex.digest;
    this.#vertex = vertex;
    this.#send = send;
  }

  get name(): string {
    return this.#vertex.name;
  }

  /** Whether it was told that it is over. */
  get ended(): boolean {
    return this.#vertex.completed !== undefined;
  }

  start(): void {
    if (this.#vertex.started !== undefined) return;
    // What has run to its end is not shown a second time, unless it has something to say.
    if (this.#before?.completed !== undefined && this.#before.cached !== true) {
      this.#vertex.started = now();
      return;
    }
    this.#change({ started: now() });
  }

  /** Another try of the same build comes to the step: it is announced already. */
  again(): void {
    const { digest, name, inputs, completed, error } = this.#vertex;
    // A step that was given up begins anew.
    this.#before = completed !== undefined && error === undefined ? this.#vertex : undefined;
    this.#vertex = { digest, name, ...(inputs === undefined ? {} : { inputs }) };
  }

  /** Its result was there already. */
  cached(): void {
    const at = now();
    this.#end({ started: this.#vertex.started ?? at, completed: at, cached: true });
  }

  complete(): void {
    const at = now();
    this.#end({ started: this.#vertex.started ?? at, completed: at });
  }

  fail(error: unknown): void {
    const at = now();
    this.#change({ started: this.#vertex.started ?? at, completed: at, error: errorMessage(error) });
  }

  log(data: Uint8Array | string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data);
    const log = { vertex: this.digest, stream: stream === 'stdout' ? 1 : 2, timestamp: now() };
    this.#send({ logs: [{ ...log, data: bytes.toString('base64') }] });
  }

  /** `current` and `total` in bytes where the client shows them as such; `done` once it grows no more. */
  amount(id: string, current: number, total: number, done: boolean, started: string): void {
    const at = now();
    this.#send({
      statuses: [
        {
          id,
          vertex: this.digest,
          current,
          total,
          timestamp: at,
          started,
          ...(done ? { completed: at } : {}),
        },
      ],
    });
  }

  warn(warning: BuildWarning): void {
    const line = (text: string): string => Buffer.from(text).toString('base64');
    const { rule, message, source, range } = warning;
    const place = range === undefined || range.start.line < 1 ? '' : ` (line ${range.start.line})`;
    this.#send({
      warnings: [
        {
          vertex: this.digest,
          level: 1,
          short: line(rule === '' ? message : `${rule}: ${message}${place}`),
          ...(warning.description === undefined ? {} : { detail: [line(warning.description)] }),
          ...(warning.url === undefined ? {} : { url: warning.url }),
          ...(source === undefined
            ? {}
            : { sourceInfo: { filename: source.filename, data: line(source.content) } }),
          ...(range === undefined ? {} : { range: [range] }),
        },
      ],
    });
  }

  /** Unknown to clients only where it is otherwise than in the try before. */
  #end(change: Partial<BuildVertex>): void {
    const before = this.#before;
    const known = before !== undefined && (change.cached === true || before.cached !== true);
    if (known) Object.assign(this.#vertex, change);
    else this.#change(change);
  }

  #change(change: Partial<BuildVertex>): void {
    this.#before = undefined;
    Object.assign(this.#vertex, change);
    this.#send({ vertexes: [{ ...this.#vertex }] });
  }
}

export class Progress {
  readonly #send: (status: BuildStatus) => void;
  readonly #seed: string;
  #count = 0;
  /** Of all tries so far, by their names. */
  readonly #vertices = new Map<string, ProgressVertex[]>();
  /** Those of each name that this try has come to; undefined in the first one. */
  #taken: Map<string, number> | undefined;

  /** `seed`: anything that no other build has, for the digests of its vertices. */
  constructor(send: (status: BuildStatus) => void, seed: string) {
    this.#send = send;
    this.#seed = seed;
  }

  /** Announces a step that has not begun. */
  vertex(name: string, inputs: readonly ProgressVertex[] = []): ProgressVertex {
    const named = this.#vertices.get(name) ?? [];
    this.#vertices.set(name, named);
    const number = this.#taken?.get(name) ?? 0;
    this.#taken?.set(name, number + 1);
    const known = this.#taken === undefined ? undefined : named[number];
    if (known !== undefined) {
      known.again();
      return known;
    }
    const vertex = this.#announce(name, inputs);
    named.push(vertex);
    return vertex;
  }

  /** The build is tried again: steps of the same names are those that were told of. */
  again(): void {
    this.#taken = new Map();
  }

  #announce(name: string, inputs: readonly ProgressVertex[]): ProgressVertex {
    const hash = createHash('sha256')
      .update(`${this.#seed}\0${this.#count++}\0${name}`)
      .digest('hex');
    const digest = `sha256:${hash}`;
    const vertex = { digest, name, inputs: inputs.map((input) => input.digest) };
    this.#send({ vertexes: [{ ...vertex }] });
    return new ProgressVertex(vertex, this.#send);
  }

  /** Runs `body` as a step: started, and completed or failed with what it throws. */
  async during<T>(vertex: ProgressVertex, body: () => Promise<T>): Promise<T> {
    vertex.start();
    try {
      const result = await body();
      vertex.complete();
      return result;
    } catch (error) {
      vertex.fail(error);
      throw error;
    }
  }
}

/** RFC 3339 with nanoseconds. */
export function now(): string {
  return new Date().toISOString().replace('Z', '000000Z');
}
