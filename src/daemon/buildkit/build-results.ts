/**
 * What builds came to, by the names that clients get for it. A result is there as long as the build that made it goes
 * on, or another that takes from it: a client (`docker buildx bake`, Compose) may give one build's result to the next.
 *
 * BuildKit's clients hand results on as definitions, graphs of low-level steps. Ours are of one step, a source whose
 * address has the result's name; it cannot be guessed, so that nobody takes from a build that is not theirs.
 */
import { createHash, randomBytes } from 'node:crypto';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Definition, type DefinitionSchema, OpSchema } from '../../api/buildkit/types_pb.ts';
import { decode } from '../../api/grpc/call.ts';
import type { SolvedBuild } from '../../build/solve/solved.ts';

const SCHEME = 'mydock-result://';
/** Ours has two. */
const STEPS_MAX = 100;

interface Entry {
  readonly solved: SolvedBuild;
  holders: number;
}

export interface HeldResult {
  readonly solved: SolvedBuild;
  /** To be called once. */
  release(): Promise<void>;
}

export class BuildResults {
  readonly #results = new Map<string, Entry>();

  /** Returns the name, held once. */
  add(solved: SolvedBuild): { ref: string; held: HeldResult } {
    const ref = randomBytes(16).toString('hex');
    const entry = { solved, holders: 0 };
    this.#results.set(ref, entry);
    return { ref, held: this.#hold(ref, entry) };
  }

  hold(ref: string): HeldResult | undefined {
    const entry = this.#results.get(ref);
    return entry === undefined ? undefined : this.#hold(ref, entry);
  }

  #hold(ref: string, entry: Entry): HeldResult {
    entry.holders += 1;
    return {
      solved: entry.solved,
      release: async () => {
        entry.holders -= 1;
        if (entry.holders > 0) return;
        this.#results.delete(ref);
        await entry.solved.release();
      },
    };
  }
}

/** The result as clients give it to another build. */
export function resultDefinition(ref: string): MessageInitShape<typeof DefinitionSchema> {
  const source = step({ source: { identifier: `${SCHEME}${ref}` } });
  const digest = `sha256:${createHash('sha256').update(source).digest('hex')}`;
  return { def: [source, step({ inputs: [{ digest }] })], metadata: { [digest]: {} } };
}

/** The name of the result that a definition stands for; undefined for a graph that is the client's own. */
export function resultOf({ def }: Definition): string | undefined {
  if (def.length > STEPS_MAX) return undefined;
  const named = def
    .map((bytes) => decode(OpSchema, bytes).source?.identifier ?? '')
    .filter((identifier) => identifier !== '');
  const [identifier = '', ...others] = named;
  if (others.length > 0 || !identifier.startsWith(SCHEME)) return undefined;
  return identifier.slice(SCHEME.length);
}

function step(op: MessageInitShape<typeof OpSchema>): Uint8Array {
  return toBinary(OpSchema, create(OpSchema, op));
}
