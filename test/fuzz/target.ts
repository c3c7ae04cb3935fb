/** One parser under test. */
export interface FuzzTarget {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  /** Words of the format, for mutate.ts. */
  readonly words: readonly string[];
  /** Kinds (`EngineError.kind`), or else names, of the errors that a broken input is refused with; all others are faults. */
  readonly refusals: readonly string[];
  run(input: Buffer): void;
}
