/**
 * What a step prints, on its way to those who watch: bounded, since a client that does not read must not cost the
 * daemon its memory. Its end is kept for the message of a step that fails.
 */
import type { ProgressVertex } from '../progress.ts';

/** Of one step. What comes after it is dropped, but for the end. */
const LOG_MAX_BYTES = 16 * 1024 * 1024;
const TAIL_BYTES = 8 * 1024;
const TAIL_LINES = 20;

export class StepOutput {
  readonly #vertex: Pick<ProgressVertex, 'log'>;
  readonly #maxBytes: number;
  #bytes = 0;
  #clipped = false;
  #tail: Buffer = Buffer.alloc(0);

  constructor(vertex: Pick<ProgressVertex, 'log'>, maxBytes = LOG_MAX_BYTES) {
    this.#vertex = vertex;
    this.#maxBytes = maxBytes;
  }

  write(chunk: Buffer, stream: 'stdout' | 'stderr'): void {
    this.#remember(chunk);
    if (this.#clipped) return;
    const room = this.#maxBytes - this.#bytes;
    this.#bytes += chunk.length;
    if (room > 0) this.#vertex.log(chunk.subarray(0, room), stream);
    if (chunk.length > room) {
      this.#clipped = true;
      this.#vertex.log(`\n[output clipped, log limit ${this.#maxBytes / 1024 / 1024}MiB reached]\n`, stream);
    }
  }

  #remember(chunk: Buffer): void {
    const end = chunk.subarray(-TAIL_BYTES);
    this.#tail = Buffer.concat([this.#tail, end]).subarray(-TAIL_BYTES);
  }

  /** The last lines, whole ones where they are not very long. */
  lastLines(): string {
    const lines = this.#tail.toString('utf8').replace(/\n$/, '').split('\n');
    if (this.#tail.length === TAIL_BYTES && lines.length > 1) lines.shift();
    return lines.slice(-TAIL_LINES).join('\n');
  }
}
