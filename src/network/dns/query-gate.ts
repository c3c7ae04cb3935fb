/**
 * How many questions to other name servers are under way at a time, and how many a second. Each costs a socket and some
 * work, so a container has a share of its own, with a line to wait in, and the containers that wait take turns.
 */
export interface QueryGateLimits {
  total: number;
  perContainer: number;
  /** So many at once after a pause, and so many in each second. */
  perContainerPerSecond: number;
  waitingPerContainer: number;
  /** Who waited longer was given up by its client. */
  waitMs: number;
}

export const QUERY_LIMITS: QueryGateLimits = {
  total: 1024,
  perContainer: 128,
  perContainerPerSecond: 2_000,
  waitingPerContainer: 1_024,
  waitMs: 4_000,
};

/** How often those are looked at who wait for the next part of a second. */
const REFILL_MS = 20;

interface Waiting {
  sinceMs: number;
  admit: (admitted: boolean) => void;
}

interface Share {
  underWay: number;
  line: Waiting[];
  /** What is left of the second, as of `refilledMs`. */
  tokens: number;
  refilledMs: number;
}

export class QueryGate {
  readonly #limits: QueryGateLimits;
  /** In the order of their turns: who was served last stands last. */
  readonly #shares = new Map<string, Share>();
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: QueryGateLimits = QUERY_LIMITS) {
    this.#limits = limits;
  }

  /** Runs `work` when it is the container's turn; undefined, without running it, where its line is full or too slow. */
  async run<T>(containerId: string, work: () => Promise<T>): Promise<T | undefined> {
    if (!(await this.#enter(containerId))) return undefined;
    try {
      return await work();
    } finally {
      this.#leave(containerId);
    }
  }

  /** Nobody of the container waits any more. */
  forget(containerId: string): void {
    const share = this.#shares.get(containerId);
    for (const { admit } of share?.line.splice(0) ?? []) admit(false);
    if (share?.underWay === 0) this.#shares.delete(containerId);
  }

  #enter(containerId: string): boolean | Promise<boolean> {
    const share = this.#share(containerId);
    if (share.line.length === 0 && this.#hasRoom(share)) {
      this.#start(share);
      return true;
    }
    if (share.line.length >= this.#limits.waitingPerContainer) return false;
    return new Promise((admit) => {
      share.line.push({ sinceMs: performance.now(), admit });
      this.#wakeLater();
    });
  }

  #share(containerId: string): Share {
    const { perContainerPerSecond } = this.#limits;
    const found = this.#shares.get(containerId);
    if (found !== undefined) return found;
    const share = { underWay: 0, line: [], tokens: perContainerPerSecond, refilledMs: performance.now() };
    this.#shares.set(containerId, share);
    return share;
  }

  #leave(containerId: string): void {
    const own = this.#shares.get(containerId);
    if (own !== undefined) {
      own.underWay -= 1;
      this.#underWay -= 1;
    }
    this.#serveAll();
  }

  /** Whoever was served goes to the end of the turns, until there is no room or nobody waits. */
  #serveAll(): void {
    for (const [id, share] of this.#shares) {
      if (this.#underWay >= this.#limits.total) break;
      if (this.#serve(share) && share.line.length > 0) {
        this.#shares.delete(id);
        this.#shares.set(id, share);
      } else if (this.#isIdle(share)) {
        this.#shares.delete(id);
      }
    }
    this.#wakeLater();
  }

  /** Nothing else wakes those who wait for tokens. */
  #wakeLater(): void {
    if (this.#timer !== undefined) return;
    if (![...this.#shares.values()].some(({ line }) => line.length > 0)) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#serveAll();
    }, REFILL_MS);
    this.#timer.unref();
  }

  /** Forgetting it forgets nothing. */
  #isIdle(share: Share): boolean {
    this.#refill(share);
    const full = share.tokens >= this.#limits.perContainerPerSecond;
    return full && share.underWay === 0 && share.line.length === 0;
  }

  /** Admits the first of the line that still has a client. */
  #serve(share: Share): boolean {
    while (this.#hasRoom(share)) {
      const first = share.line.shift();
      if (first === undefined) return false;
      const current = performance.now() - first.sinceMs <= this.#limits.waitMs;
      if (current) this.#start(share);
      first.admit(current);
      if (current) return true;
    }
    return false;
  }

  #hasRoom(share: Share): boolean {
    this.#refill(share);
    return (
      share.tokens >= 1 && share.underWay < this.#limits.perContainer && this.#underWay < this.#limits.total
    );
  }

  #start(share: Share): void {
    share.tokens -= 1;
    share.underWay += 1;
    this.#underWay += 1;
  }

  #refill(share: Share): void {
    const { perContainerPerSecond } = this.#limits;
    const now = performance.now();
    const earned = ((now - share.refilledMs) / 1000) * perContainerPerSecond;
    share.tokens = Math.min(perContainerPerSecond, share.tokens + earned);
    share.refilledMs = now;
  }
}
