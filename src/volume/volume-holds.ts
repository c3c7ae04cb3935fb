/**
 * Who works on whole volumes: exports, clones and snapshots read, any number at a time; imports and restores write,
 * alone. Meanwhile the volume stays. Containers are not counted here: they may use a volume at any time.
 */
import { ConflictError } from '../base/errors.ts';

export type HoldKind = 'read' | 'write';

interface Hold {
  kind: HoldKind;
  /** What is being done, for messages: `exported`. */
  doing: string;
}

export class VolumeHolds {
  readonly #holds = new Map<string, Set<Hold>>();

  /** Until the function that it returns is called. Throws Conflict: `import v: volume is being exported`. */
  hold(name: string, kind: HoldKind, verb: string, doing: string): () => void {
    const holds = this.#holds.get(name) ?? new Set<Hold>();
    const [other] = [...holds].filter((hold) => kind === 'write' || hold.kind === 'write');
    if (other !== undefined) throw new ConflictError(`${verb} ${name}: volume is being ${other.doing}`);
    const hold = { kind, doing };
    holds.add(hold);
    this.#holds.set(name, holds);
    return () => {
      holds.delete(hold);
      if (holds.size === 0 && this.#holds.get(name) === holds) this.#holds.delete(name);
    };
  }

  /** Throws Conflict where anybody holds it. */
  requireNone(name: string, verb: string): void {
    this.hold(name, 'write', verb, '')();
  }
}
