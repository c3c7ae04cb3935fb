/** The filters of `GET /images/json`. */
import { type Filters, InvalidFilterError, requireKnownFilters } from '../../../api/filters.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { parsePointInTime } from '../../../base/point-in-time.ts';
import type { Image } from '../../../image/image-store.ts';
import type { ImagesBackend } from './backend.ts';

const FILTERS = ['before', 'dangling', 'label', 'reference', 'since', 'until'];

/** Throws InvalidParameter for unknown filters and values, NotFound for an image that bounds the list. */
export function imageFilter(backend: ImagesBackend, filters: Filters): (image: Image) => boolean {
  try {
    requireKnownFilters(filters, FILTERS);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
  const dangling = (filters['dangling'] ?? []).map(parseFlag);
  const before = (filters['before'] ?? []).map((name) => createdMs(backend.resolve(name)));
  const since = (filters['since'] ?? []).map((name) => createdMs(backend.resolve(name)));
  const until = (filters['until'] ?? []).map(parseTime);
  const labels = filters['label'] ?? [];
  const references = filters['reference'] ?? [];
  return (image) =>
    dangling.every((wanted) => wanted === (image.repoTags.length === 0)) &&
    before.every((limit) => createdMs(image) < limit) &&
    since.every((limit) => createdMs(image) > limit) &&
    until.every((limit) => createdMs(image) < limit) &&
    labels.every((label) => hasLabel(image, label)) &&
    (references.length === 0 || shownNames([...image.repoTags, ...image.repoDigests], filters).length > 0);
}

function parseFlag(text: string): boolean {
  if (['1', 'true'].includes(text.toLowerCase())) return true;
  if (['0', 'false'].includes(text.toLowerCase())) return false;
  throw new InvalidParameterError(`invalid filter 'dangling=${text}'`);
}

function parseTime(text: string): number {
  const ms = parsePointInTime(text, Date.now());
  if (ms === undefined) throw new InvalidParameterError(`invalid filter 'until=${text}'`);
  return ms;
}

function createdMs(image: Image): number {
  const ms = Date.parse(image.createdAt);
  return Number.isNaN(ms) ? 0 : ms;
}

function hasLabel(image: Image, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  const found = image.config.config.Labels?.[key];
  return found !== undefined && (value === undefined || found === value);
}

/** The names that a list shows of an image: with `reference` filters only those that match one of them. */
export function shownNames(names: readonly string[], filters: Filters): string[] {
  const references = filters['reference'] ?? [];
  if (references.length === 0) return [...names];
  return names.filter((name) => references.some((pattern) => matchesName(name, pattern)));
}

/** A pattern with `*` and `?`, neither of which crosses a slash, over a name with and without its tag. */
function matchesName(name: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  const expression = new RegExp(`^${source}$`);
  return expression.test(name) || expression.test(name.replace(/(:[^:/]+|@sha256:.*)$/, ''));
}
