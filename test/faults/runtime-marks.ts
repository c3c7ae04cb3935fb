/**
 * Orders to the runtime of the fault tests: one file that all of its processes map, with what they have passed. The
 * twin of `struct orders` in native/fault_mark.c.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { Point } from './order.ts';

/** In the sandbox's own /run. */
const ORDERS = '/run/mydock-fault-marks';
const LABEL_BYTES = 64;
const PASSED_MAX = 1000;
const KIND = 0;
const OCCURRENCE = 4;
const STRUCK = 8;
const PASSED_COUNT = 12;
const LABEL = 16;
const PASSED = LABEL + LABEL_BYTES;

export class RuntimeMarks {
  readonly #fd: number;

  constructor() {
    this.#fd = openSync(ORDERS, 'w+', 0o600);
    writeSync(this.#fd, Buffer.alloc(PASSED + PASSED_MAX * LABEL_BYTES), 0, undefined, 0);
  }

  #write(kind: string, { point, occurrence }: Point): void {
    const order = Buffer.alloc(PASSED + PASSED_MAX * LABEL_BYTES);
    order.writeUInt32LE(occurrence, OCCURRENCE);
    order.write(point, LABEL);
    writeSync(this.#fd, order, 0, order.length, 0);
    // Last: from here on it counts.
    order.writeUInt32LE(kind.charCodeAt(0), KIND);
    writeSync(this.#fd, order, KIND, 4, KIND);
  }

  #read(at: number): number {
    const word = Buffer.alloc(4);
    readSync(this.#fd, word, 0, 4, at);
    return word.readUInt32LE();
  }

  record(): void {
    this.#write('r', { point: '', occurrence: 0 });
  }

  die(point: Point): void {
    this.#write('k', point);
  }

  hold(point: Point): void {
    this.#write('h', point);
  }

  /** The mark was reached; of an order to hold, whoever reached it waits. */
  get struck(): boolean {
    return this.#read(STRUCK) !== 0;
  }

  /** Takes the order back; who waits goes on. */
  relax(): void {
    writeSync(this.#fd, Buffer.alloc(4), 0, 4, KIND);
    writeSync(this.#fd, Buffer.alloc(4), 0, 4, STRUCK);
  }

  /** What was passed since the order came. */
  get passed(): Point[] {
    const count = Math.min(this.#read(PASSED_COUNT), PASSED_MAX);
    const labels = Buffer.alloc(count * LABEL_BYTES);
    readSync(this.#fd, labels, 0, labels.length, PASSED);
    const seen = new Map<string, number>();
    return Array.from({ length: count }, (_, index) => {
      const text = labels.subarray(index * LABEL_BYTES, (index + 1) * LABEL_BYTES).toString('latin1');
      const point = text.slice(0, text.indexOf('\0'));
      const occurrence = (seen.get(point) ?? 0) + 1;
      seen.set(point, occurrence);
      return { point, occurrence };
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
