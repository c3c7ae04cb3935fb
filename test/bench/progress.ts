/**
 * How far a run of the benchmarks is: what is left, from how long the parts take on the machine of docs/benchmarks.md and from how
 * much slower or faster than that this run has been so far; and whether its time is over.
 */
export interface Part {
  readonly expectedSec: number;
}

export class Progress {
  readonly #limitSec: number;
  readonly #now: () => number;
  readonly #startedAtSec: number;
  readonly #total: number;
  #leftSec: number;
  #doneSec = 0;
  #spentSec = 0;
  #begun = 0;

  /** `now` in seconds; for tests. */
  constructor(parts: readonly Part[], limitSec: number, now: () => number = () => performance.now() / 1000) {
    this.#limitSec = limitSec;
    this.#now = now;
    this.#startedAtSec = now();
    this.#total = parts.length;
    this.#leftSec = parts.reduce((sum, { expectedSec }) => sum + expectedSec, 0);
  }

  get isOver(): boolean {
    return this.#now() - this.#startedAtSec >= this.#limitSec;
  }

  /** Says which part begins and how much time is left with it. */
  begin(name: string): string {
    this.#begun += 1;
    return `[${this.#begun} of ${this.#total}, about ${this.#leftText()} left] ${name}`;
  }

  /** The part took from `startedAtSec` until now. */
  end({ expectedSec }: Part, startedAtSec: number): void {
    this.#leftSec -= expectedSec;
    this.#doneSec += expectedSec;
    this.#spentSec += this.#now() - startedAtSec;
  }

  #leftText(): string {
    const factor = this.#doneSec > 0 ? this.#spentSec / this.#doneSec : 1;
    const leftSec = this.#leftSec * factor;
    return leftSec < 90 ? `${Math.round(leftSec)} s` : `${Math.round(leftSec / 60)} min`;
  }
}
