/**
 * How many descriptors of the daemon published ports may take. They are as many as clients of the API ask for, and what
 * is carried on is as much as other hosts ask for; the daemon must still be able to work when both have all they can.
 */
import { readFileSync } from 'node:fs';

/** Where the process's own limit cannot be read. */
const LIMIT_DEFAULT = 1024;

export class DescriptorBudget {
  readonly max: number;
  #taken = 0;

  constructor(max: number) {
    this.max = max;
  }

  get free(): number {
    return this.max - this.#taken;
  }

  /** False, and nothing taken, where there are not so many left. */
  take(count: number): boolean {
    if (count > this.free) return false;
    this.#taken += count;
    return true;
  }

  give(count: number): void {
    this.#taken -= count;
  }
}

export interface PortBudgets {
  /** Sockets that hold ports. */
  held: DescriptorBudget;
  /** Sockets of what is carried on. */
  carried: DescriptorBudget;
}

/** Half of what the process may open for ports, a quarter for what is carried on. */
export function portBudgets(limit = descriptorLimit()): PortBudgets {
  return {
    held: new DescriptorBudget(Math.floor(limit / 2)),
    carried: new DescriptorBudget(Math.floor(limit / 4)),
  };
}

function descriptorLimit(): number {
  try {
    const found = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return found === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(found ?? LIMIT_DEFAULT);
  } catch {
    return LIMIT_DEFAULT;
  }
}
