/** `--filter name=value`, as the list verbs take it. */
import { type Filters, serialiseFilters } from '../../api/filters.ts';
import { splitPair } from './environment.ts';

/** The `filters` query; undefined without filters. Throws for text without `=`. */
export function filterQuery(flags: readonly string[]): string | undefined {
  const filters: Filters = {};
  for (const flag of flags) {
    const [name, value] = splitPair(flag);
    const key = name.trim().toLowerCase();
    filters[key] = [...(filters[key] ?? []), value.trim()];
  }
  return serialiseFilters(filters);
}

/** A flag's value, checked: `invalid argument "x" for "-f, --filter" flag: …`. */
export function parseFilter(text: string): string {
  if (!text.includes('=')) throw new Error('bad format of filter (expected name=value)');
  return text;
}
