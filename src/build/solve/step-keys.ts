/**
 * Keys of steps. `definition` is what the step is by itself; with the layers below it and the content that it takes it
 * makes the key under which its result is cached.
 */
import { createHash } from 'node:crypto';

/** Changes when what steps do changes, so that results of an earlier mydock are not taken for new ones. */
const GENERATION = 'mydock-step-1';

/** `fields` as JSON of what decides the result; platform and epoch are part of it. */
export function definitionKey(fields: Readonly<Record<string, unknown>>): string {
  return hash([GENERATION, JSON.stringify(fields)]);
}

/** `chain`: chainID below, empty where it does not matter. `content`: digest of what is taken. */
export function stepKey(definition: string, chain: string, content: string): string {
  return hash(['content', definition, chain, content]);
}

/** The same with what only stands for content (another stage's chainID). */
export function quickKey(definition: string, chain: string, identity: string): string {
  return hash(['identity', definition, chain, identity]);
}

export function hash(parts: readonly string[]): string {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(`${Buffer.byteLength(part)}:`).update(part);
  return digest.digest('hex');
}
