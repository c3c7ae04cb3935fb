/**
 * The `filters` query parameter: a JSON map from a filter's name to its values, either as a set
 * (`{"status":{"running":true}}`) or as a list (`{"status":["running"]}`); both are read, the list is written, as
 * every version from 1.22 on understands it.
 */

/** Filter name to its values, in the order given. Values of one name are alternatives; names are all required. */
export type Filters = Record<string, string[]>;

/** Thrown by `parseFilters`; its message is what clients are told with status 400. */
export class InvalidFilterError extends Error {}

/** Reads the parameter; absent or empty gives no filters. Throws `InvalidFilterError`. */
export function parseFilters(query: string | null | undefined): Filters {
  if (query === undefined || query === null || query === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(query);
  } catch {
    throw new InvalidFilterError('invalid filter');
  }
  if (!isObject(value)) throw new InvalidFilterError('invalid filter');
  return Object.fromEntries(Object.entries(value).map(([name, values]) => [name, filterValues(values)]));
}

/** The parameter's text; undefined where there is nothing to filter by. */
export function serialiseFilters(filters: Filters): string | undefined {
  return Object.keys(filters).length === 0 ? undefined : JSON.stringify(filters);
}

/** Throws `InvalidFilterError` (`invalid filter 'x'`) for a name that is not among `known`. */
export function requireKnownFilters(filters: Filters, known: readonly string[]): void {
  for (const name of Object.keys(filters)) {
    if (!known.includes(name)) throw new InvalidFilterError(`invalid filter '${name}'`);
  }
}

function filterValues(values: unknown): string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  if (isObject(values) && Object.values(values).every((flag) => typeof flag === 'boolean')) {
    return Object.keys(values).filter((key) => values[key] === true);
  }
  throw new InvalidFilterError('invalid filter');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
