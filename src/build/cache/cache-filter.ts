/** The filters of `POST /build/prune`: which entries of the build cache they leave. */
import { InvalidParameterError } from '../../base/errors.ts';
import type { BuildCacheEntry } from '../builder.ts';
import { parseDuration } from '../dockerfile/duration.ts';

type Test = (entry: BuildCacheEntry, value: string) => boolean;

const TESTS: Readonly<Record<string, Test>> = {
  id: (entry, value) => matches(entry.id, value),
  parent: (entry, value) => entry.parents.some((parent) => matches(parent, value)),
  parents: (entry, value) => entry.parents.some((parent) => matches(parent, value)),
  type: (entry, value) => matches(entry.type, value),
  description: (entry, value) => matches(entry.description, value),
  inuse: (entry, value) => entry.inUse === truth('inuse', value),
  mutable: (_, value) => !truth('mutable', value),
  immutable: (_, value) => truth('immutable', value),
  shared: (entry, value) => entry.shared === truth('shared', value),
  private: (entry, value) => entry.shared !== truth('private', value),
};
const KINDS: readonly string[] = [...Object.keys(TESTS), 'until', 'unused-for'];

/** Throws InvalidParameter for a filter that Docker does not know, and for values that cannot be. */
export function cacheFilter(
  filters: Readonly<Record<string, readonly string[]>>,
  nowMs: number,
): (entry: BuildCacheEntry) => boolean {
  const tests: ((entry: BuildCacheEntry) => boolean)[] = [];
  for (const [name, values] of Object.entries(filters)) {
    if (!KINDS.includes(name)) throw new InvalidParameterError(`invalid filter '${name}'`);
    const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
    if (test !== undefined) tests.push((entry) => values.some((value) => test(entry, value)));
    else tests.push(unusedSince(name, values, nowMs));
  }
  // Bad values are found before the first entry is looked at.
  const probe: BuildCacheEntry = {
    id: '',
    type: '',
    description: '',
    inUse: false,
    shared: false,
    sizeBytes: 0,
    createdMs: 0,
    usageCount: 0,
    parents: [],
  };
  for (const test of tests) test(probe);
  return (entry) => tests.every((test) => test(entry));
}

/** `sha256:` in front may be there or not. */
function matches(text: string, value: string): boolean {
  const plain = value.replace(/^sha256:/, '');
  if (value.startsWith('~')) return text.includes(value.slice(1));
  return text === value || (plain.length >= 12 && text.startsWith(plain));
}

function truth(name: string, value: string): boolean {
  if (['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new InvalidParameterError(`invalid filter '${name}=[${value}]': expected true or false`);
}

function unusedSince(
  name: string,
  values: readonly string[],
  nowMs: number,
): (entry: BuildCacheEntry) => boolean {
  const [value = ''] = values;
  if (values.length !== 1) throw new InvalidParameterError(`more than one value of filter "${name}"`);
  const limitMs = untilMs(value, nowMs);
  if (limitMs === undefined) {
    throw new InvalidParameterError(
      `invalid filter '${name}=[${value}]': expected a duration (24h) or a time`,
    );
  }
  return (entry) => (entry.lastUsedMs ?? entry.createdMs) < limitMs;
}

function untilMs(value: string, nowMs: number): number | undefined {
  const nanoseconds = parseDuration(value);
  if (nanoseconds !== undefined) return nowMs - nanoseconds / 1e6;
  if (/^\d+(?:\.\d+)?$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at;
}
