/** Values of build flags that are lists of attributes: `type=local,dest=out`, with quotes as CSV has them. */
import { splitCsv } from '../options/csv.ts';

/** Keys in lower case, in order; throws for a field without `=`. */
export function readAttributes(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const field of splitCsv(text)) {
    const equals = field.indexOf('=');
    if (equals <= 0) throw new Error(`invalid field "${field}": it must be a key=value pair`);
    attributes.set(field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1));
  }
  return attributes;
}

/** Throws for the first key that is none of `known`. */
export function requireKnown(attributes: ReadonlyMap<string, string>, known: readonly string[]): void {
  for (const key of attributes.keys()) {
    if (!known.includes(key))
      throw new Error(`unexpected key "${key}": it must be one of ${known.join(', ')}`);
  }
}
