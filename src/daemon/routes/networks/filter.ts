/** Which networks a list shows and a prune removes (Engine API, "List networks", "Delete unused networks"). */
import { type Filters, InvalidFilterError, requireKnownFilters } from '../../../api/filters.ts';
import type { Network } from '../../../api/networks.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { compileExpression } from '../../../base/expression/expression.ts';
import { parsePointInTime } from '../../../base/point-in-time.ts';

const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);
const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'label!', 'name', 'scope', 'type'];
const PRUNE_FILTERS = ['label', 'label!', 'until'];

export function isPredefined({ Name }: Network): boolean {
  return PREDEFINED.has(Name);
}

/**
 * Values of one filter are alternatives, except labels, which must all be there. `inUse` says whether containers are
 * on a network. Throws InvalidParameter for a filter that does not exist or cannot be read.
 */
export function listFilter(
  filters: Filters,
  inUse: (network: Network) => boolean,
): (network: Network) => boolean {
  requireKnown(filters, LIST_FILTERS);
  const labels = labelTest(filters);
  const names = (filters['name'] ?? []).map(pattern);
  const ids = (filters['id'] ?? []).map(pattern);
  const types = (filters['type'] ?? []).map(readType);
  const dangling = readDangling(filters['dangling'] ?? []);
  return (network) =>
    labels(network) &&
    oneOf(filters['driver'], network.Driver) &&
    oneOf(filters['scope'], network.Scope) &&
    (names.length === 0 || names.some((matches) => matches(network.Name))) &&
    (ids.length === 0 || ids.some((matches) => matches(network.Id))) &&
    (types.length === 0 || types.includes(isPredefined(network) ? 'builtin' : 'custom')) &&
    (dangling === undefined || dangling === (!isPredefined(network) && !inUse(network)));
}

/** Never a predefined network, nor one that is only a configuration for others. Throws InvalidParameter. */
export function pruneFilter(filters: Filters): (network: Network) => boolean {
  requireKnown(filters, PRUNE_FILTERS);
  const labels = labelTest(filters);
  const until = readUntil(filters['until'] ?? []);
  return (network) =>
    !isPredefined(network) &&
    !network.ConfigOnly &&
    (until === undefined || Date.parse(network.Created) <= until) &&
    labels(network);
}

function requireKnown(filters: Filters, known: readonly string[]): void {
  try {
    requireKnownFilters(filters, known);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
}

function oneOf(wanted: readonly string[] | undefined, value: string): boolean {
  return wanted === undefined || wanted.length === 0 || wanted.includes(value);
}

function labelTest(filters: Filters): (network: Network) => boolean {
  const wanted = filters['label'] ?? [];
  const unwanted = filters['label!'] ?? [];
  return ({ Labels }) =>
    wanted.every((label) => hasLabel(Labels, label)) && !unwanted.some((label) => hasLabel(Labels, label));
}

function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** A value is the text itself or an expression; what is no expression matches only itself, as in Docker. */
function pattern(wanted: string): (text: string) => boolean {
  let matches: (text: string) => boolean = () => false;
  try {
    matches = compileExpression(wanted);
  } catch (error) {
    if (!(error instanceof InvalidParameterError)) throw error;
  }
  return (text) => text === wanted || matches(text);
}

function readType(type: string): string {
  if (type === 'builtin' || type === 'custom') return type;
  throw new InvalidParameterError(`invalid filter: 'type'='${type}'`);
}

function readDangling(values: readonly string[]): boolean | undefined {
  const [value] = values;
  if (values.length > 1) {
    throw new InvalidParameterError('got more than one value for filter key "dangling"');
  }
  if (value === undefined) return undefined;
  if (value === '1' || value === 'true') return true;
  if (value === '0' || value === 'false') return false;
  throw new InvalidParameterError(
    'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
  );
}

function readUntil(values: readonly string[]): number | undefined {
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1) throw new InvalidParameterError('more than one until filter specified');
  const time = parsePointInTime(value, Date.now());
  if (time === undefined) {
    throw new InvalidParameterError(`failed to parse value as time or duration: "${value}"`);
  }
  return time;
}
