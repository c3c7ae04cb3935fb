/** The filters of `GET /images/json` and `POST /images/prune`. */
import { type Filters, InvalidFilterError, requireKnownFilters } from '../../../api/filters.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { compilePathPattern } from '../../../base/path-pattern.ts';
import { parsePointInTime } from '../../../base/point-in-time.ts';
import type { ListedImage } from '../../../image/store/image-store.ts';
import type { ImagesBackend } from './backend.ts';

const LIST_FILTERS = ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until'];
const PRUNE_FILTERS = ['dangling', 'label', 'label!', 'until'];

export interface ListFilter {
  matches(image: ListedImage): boolean;
  /** The names that a list shows: with `reference` filters only those that match one of them. */
  shownNames(names: readonly string[]): string[];
}

/** Throws InvalidParameter for unknown filters and values, NotFound for an image that bounds the list. */
export function listFilter(backend: Pick<ImagesBackend, 'resolve'>, filters: Filters): ListFilter {
  requireKnown(filters, LIST_FILTERS);
  const dangling = danglingFilter(filters);
  const before = (filters['before'] ?? []).map((name) => createdMs(backend.resolve(name)));
  const since = (filters['since'] ?? []).map((name) => createdMs(backend.resolve(name)));
  const until = (filters['until'] ?? []).map(parseTime);
  const labels = labelFilter(filters);
  const references = (filters['reference'] ?? []).map(referencePattern);
  const shownNames = (names: readonly string[]): string[] =>
    references.length === 0
      ? [...names]
      : names.filter((name) => references.some((matches) => matches(name)));
  return {
    shownNames,
    matches: (image) =>
      (dangling === undefined || dangling === isDangling(image, dangling)) &&
      [...before, ...until].every((limit) => createdMs(image) < limit) &&
      since.every((limit) => createdMs(image) > limit) &&
      labels(image) &&
      (references.length === 0 || shownNames([...image.repoTags, ...image.repoDigests]).length > 0),
  };
}

export interface PruneFilter {
  danglingOnly: boolean;
  matches(image: ListedImage): boolean;
}

/** Throws InvalidParameter for unknown filters and values. Images that do not say when they were made are not old. */
export function pruneFilter(filters: Filters): PruneFilter {
  requireKnown(filters, PRUNE_FILTERS);
  const untils = filters['until'] ?? [];
  if (untils.length > 1) throw new InvalidParameterError('more than one until filter specified');
  const limit = untils.map(parseTime)[0];
  const labels = labelFilter(filters);
  return {
    danglingOnly: danglingFilter(filters) ?? true,
    matches: (image) =>
      (limit === undefined || (image.createdAt !== '' && createdMs(image) <= limit)) && labels(image),
  };
}

function requireKnown(filters: Filters, known: readonly string[]): void {
  try {
    requireKnownFilters(filters, known);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
}

/** A digest is a name that only `dangling=true` does not count. */
function isDangling({ repoTags, repoDigests }: ListedImage, wanted: boolean): boolean {
  return repoTags.length === 0 && (wanted || repoDigests.length === 0);
}

/** Undefined where it is not asked for; both at once are an error, as any other value. */
function danglingFilter(filters: Filters): boolean | undefined {
  const values = filters['dangling'] ?? [];
  if (values.length === 0) return undefined;
  const flags = new Set(values.map(parseFlag));
  const [flag] = flags;
  if (flag === undefined || flags.size > 1) {
    throw new InvalidParameterError(`invalid filter 'dangling=[${values.join(' ')}]'`);
  }
  return flag;
}

function parseFlag(text: string): boolean | undefined {
  if (['1', 'true'].includes(text.toLowerCase())) return true;
  return ['0', 'false'].includes(text.toLowerCase()) ? false : undefined;
}

function parseTime(text: string): number {
  const ms = parsePointInTime(text, Date.now());
  if (ms === undefined)
    throw new InvalidParameterError(`failed to parse value as time or duration: "${text}"`);
  return ms;
}

export function createdMs({ createdAt }: Pick<ListedImage, 'createdAt'>): number {
  const ms = Date.parse(createdAt);
  return Number.isNaN(ms) ? 0 : ms;
}

function labelFilter(filters: Filters): (image: ListedImage) => boolean {
  const wanted = (filters['label'] ?? []).map(parseLabel);
  const unwanted = (filters['label!'] ?? []).map(parseLabel);
  return ({ labels = {} }) => {
    const has = ({ key, value }: Label): boolean =>
      Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
    return wanted.every(has) && !unwanted.some(has);
  };
}

interface Label {
  key: string;
  value: string | undefined;
}

function parseLabel(text: string): Label {
  const at = text.indexOf('=');
  return at < 0 ? { key: text, value: undefined } : { key: text.slice(0, at), value: text.slice(at + 1) };
}

/** Tests a name whole, and without its tag or digest. */
function referencePattern(pattern: string): (name: string) => boolean {
  const matches = compilePathPattern(pattern);
  return (name) => matches(name) || matches(repositoryOf(name));
}

/** `localhost:5000/x` of `localhost:5000/x:1` and of `localhost:5000/x@sha256:…`. */
function repositoryOf(name: string): string {
  const at = name.indexOf('@');
  const bare = at < 0 ? name : name.slice(0, at);
  const colon = bare.lastIndexOf(':');
  return colon > bare.lastIndexOf('/') ? bare.slice(0, colon) : bare;
}
