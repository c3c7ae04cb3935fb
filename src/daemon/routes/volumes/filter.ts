/** Which volumes a list shows and a prune removes (Engine API, "List volumes", "Delete unused volumes"). */
import { type Filters, InvalidFilterError, requireKnownFilters } from '../../../api/filters.ts';
import type { Volume } from '../../../api/volumes.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { compileExpression } from '../../../base/expression/expression.ts';
import { ANONYMOUS_LABEL } from '../../../volume/volume-store.ts';

const LIST_FILTERS = ['dangling', 'driver', 'label', 'label!', 'name'];
const PRUNE_FILTERS = ['all', 'label', 'label!'];

/**
 * Values of one filter are alternatives, except labels, which must all be there. `inUse` says whether a container has
 * the volume. Throws InvalidParameter for a filter that does not exist or cannot be read.
 */
export function listFilter(
  filters: Filters,
  inUse: (volume: Volume) => boolean,
): (volume: Volume) => boolean {
  requireKnown(filters, LIST_FILTERS);
  const labels = labelTest(filters);
  const names = (filters['name'] ?? []).map(pattern);
  const drivers = filters['driver'] ?? [];
  const dangling = readFlag('dangling', filters);
  return (volume) =>
    labels(volume) &&
    (names.length === 0 || names.some((matches) => matches(volume.Name))) &&
    (drivers.length === 0 || drivers.includes(volume.Driver)) &&
    (dangling === undefined || dangling !== inUse(volume));
}

/**
 * Volumes with driver options are left alone: what they name is no space of ours. Without `all` only anonymous ones
 * are meant. Throws InvalidParameter.
 */
export function pruneFilter(filters: Filters): (volume: Volume) => boolean {
  requireKnown(filters, PRUNE_FILTERS);
  const labels = labelTest(filters);
  const all = readFlag('all', filters) === true;
  return (volume) =>
    labels(volume) &&
    Object.keys(volume.Options ?? {}).length === 0 &&
    (all || volume.Labels?.[ANONYMOUS_LABEL] !== undefined);
}

function requireKnown(filters: Filters, known: readonly string[]): void {
  try {
    requireKnownFilters(filters, known);
  } catch (error) {
    throw error instanceof InvalidFilterError ? new InvalidParameterError(error.message) : error;
  }
}

/** Undefined where it is not asked for; both answers at once are an error, as any other value. */
function readFlag(name: string, filters: Filters): boolean | undefined {
  const values = filters[name] ?? [];
  if (values.length === 0) return undefined;
  const yes = values.some((value) => ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value));
  const no = values.some((value) => ['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value));
  if (yes === no) throw new InvalidParameterError(`invalid filter '${name}=[${values.join(' ')}]'`);
  return yes;
}

function labelTest(filters: Filters): (volume: Volume) => boolean {
  const wanted = filters['label'] ?? [];
  const unwanted = filters['label!'] ?? [];
  return ({ Labels }) => {
    const labels = Labels ?? {};
    return (
      wanted.every((label) => hasLabel(labels, label)) && !unwanted.some((label) => hasLabel(labels, label))
    );
  };
}

function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}

/** A value is the text itself or an expression; what is no expression matches only itself, as in Docker. */
function pattern(wanted: string): (text: string) => boolean {
  try {
    const matches = compileExpression(wanted);
    return (text) => text === wanted || matches(text);
  } catch {
    return (text) => text === wanted;
  }
}
