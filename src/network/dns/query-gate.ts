/**
 * How many questions to other name servers are under way at a time. Each costs a socket, so a container has a share
 * of its own, with a line to wait in, and the containers that wait take turns.
 */
export interface QueryGateLimits {
  total: number;
  perContainer: number;
  waitingPerContainer: number;
  /** Who waited longer was given up by its client. */
  waitMs: number;
}

export const QUERY_LIMITS: QueryGateLimits = {
  total: 1024,
  perContainer: 128,
  waitingPerContainer: 2048,
  waitMs: 4_000,
};

interface Waiting {
  sinceMs: number;
  admit: (admitted: boolean) => void;
}

interface Share {
  underWay: number;
  line: Waiting[];
}

export class QueryGate {
  readonly #limits: QueryGateLimits;
  /** In the order of their turns: who was served last stands last. */
  readonly #shares = new Map<string, Share>();
  #underWay = 0;

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
    const share = this.#shares.get(containerId) ?? { underWay: 0, line: [] };
    this.#shares.set(containerId, share);
    if (share.line.length === 0 && this.#hasRoom(share)) {
      this.#count(share, 1);
      return true;
    }
    if (share.line.length >= this.#limits.waitingPerContainer) return false;
    return new Promise((admit) => {
      share.line.push({ sinceMs: performance.now(), admit });
    });
  }

  #leave(containerId: string): void {
    const own = this.#shares.get(containerId);
    if (own !== undefined) this.#count(own, -1);
    for (const [id, share] of this.#shares) {
      if (this.#underWay >= this.#limits.total) break;
      if (this.#serve(share) && share.line.length > 0) {
        this.#shares.delete(id);
        this.#shares.set(id, share);
      }
    }
    if (own?.underWay === 0 && own.line.length === 0) this.#shares.delete(containerId);
  }

  /** Admits the first of the line that still has a client. */
  #serve(share: Share): boolean {
    while (this.#hasRoom(share)) {
      const first = share.line.shift();
      if (first === undefined) return false;
      const current = performance.now() - first.sinceMs <= this.#limits.waitMs;
      if (current) this.#count(share, 1);
      first.admit(current);
      if (current) return true;
    }
    return false;
  }

  #hasRoom(share: Share): boolean {
    return share.underWay < this.#limits.perContainer && this.#underWay < this.#limits.total;
  }

  #count(share: Share, change: number): void {
    share.underWay += change;
    this.#underWay += change;
  }
}
