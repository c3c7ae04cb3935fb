/** Random choices that a seed repeats (the generator is mulberry32: 32 bits of state, which is enough to choose by). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below `below`, whole. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** One of the items; undefined where there is none. */
  pick<T>(items: Iterable<T>): T | undefined {
    const all = [...items];
    return all.length === 0 ? undefined : all[this.below(all.length)];
  }

  /** One of the items, as often as their weights say. */
  weighted<T extends { readonly weight: number }>(items: readonly T[]): T {
    let at = this.below(items.reduce((sum, { weight }) => sum + weight, 0));
    for (const item of items) {
      at -= item.weight;
      if (at < 0) return item;
    }
    throw new Error('no items to choose from');
  }
}
