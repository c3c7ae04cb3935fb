/**
 * The directories of several layers, read side by side in the order of their names: a binary heap, so that hundreds of
 * layers cost hardly more an entry than two.
 */
import type { DirectoryCursor } from './directory-cursor.ts';

/** A directory on the way through it; of the same name, the higher rank comes first. */
export interface Reading {
  cursor: DirectoryCursor;
  rank: number;
}

/** Directories by the names that they are at. */
export class ReadingHeap<Item extends Reading> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(reading: Item): void {
    const items = this.#items;
    let at = items.length;
    items.push(reading);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = items[up];
      if (above === undefined || !isBefore(reading, above)) break;
      items[at] = above;
      at = up;
    }
    items[at] = reading;
  }

  /** Takes out all that are at the first name. */
  popEqual(into: Item[]): void {
    const first = this.#pop();
    if (first === undefined) return;
    into.push(first);
    for (;;) {
      const next = this.#items[0];
      if (next === undefined || first.cursor.compare(next.cursor) !== 0) return;
      into.push(next);
      this.#pop();
    }
  }

  #pop(): Item | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = items[child];
      const right = items[child + 1];
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        below = right;
        child++;
      }
      if (below === undefined || !isBefore(below, last)) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function isBefore(a: Reading, b: Reading): boolean {
  const order = a.cursor.compare(b.cursor);
  return order < 0 || (order === 0 && a.rank > b.rank);
}
