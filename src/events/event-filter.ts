/** Which events a client of `GET /events` wants to hear of (Engine API, "Monitor events": filters). Pure. */
import type { Filters } from '../api/filters.ts';
import type { EngineEvent } from './event-bus.ts';

/** Actions that carry more behind a colon: their bare name, as a filter, means the beginning. */
const PREFIXED = new Set(['exec_create', 'exec_start', 'health_status']);
/** Filters by the ID or name of an object; the value may be the beginning of either, as in Docker. */
const OBJECTS = ['container', 'daemon', 'network', 'volume', 'plugin', 'service', 'node', 'secret', 'config'];

/** Values of one filter are alternatives, except labels, which must all be there. Unknown filters are ignored. */
export function eventFilter(filters: Filters): (event: EngineEvent) => boolean {
  const given = Object.entries(filters).filter(([, values]) => values.length > 0);
  return (event) => given.every(([name, values]) => matches(event, name, values));
}

function matches(event: EngineEvent, name: string, values: readonly string[]): boolean {
  if (OBJECTS.includes(name)) return matchesObject(event, name, values);
  switch (name) {
    case 'type':
      return values.includes(event.Type);
    case 'scope':
      return values.includes('local');
    case 'event':
      return matchesAction(event.Action, values);
    case 'image':
      return matchesImage(event, values);
    case 'label':
      return values.every((value) => matchesLabel(event.Actor.Attributes, value));
    default:
      return true;
  }
}

function matchesAction(action: string, values: readonly string[]): boolean {
  return values.some((value) =>
    PREFIXED.has(value) ? action === value || action.startsWith(`${value}:`) : action === value,
  );
}

function matchesObject({ Type, Actor }: EngineEvent, type: string, values: readonly string[]): boolean {
  if (Type !== type) return false;
  const { name } = Actor.Attributes;
  return values.some((value) => Actor.ID.startsWith(value) || name?.startsWith(value) === true);
}

/** The image's own events, and those of its containers; the name counts with and without its tag. */
function matchesImage({ Type, Actor }: EngineEvent, values: readonly string[]): boolean {
  const name = Actor.Attributes[Type === 'image' ? 'name' : 'image'] ?? '';
  const own = [Actor.ID, name, withoutTag(Actor.ID), withoutTag(name)];
  return values.some((value) => own.includes(value));
}

function withoutTag(name: string): string {
  return name.replace(/(:[^:/]+|@sha256:[0-9a-f]+)$/, '');
}

function matchesLabel(attributes: Record<string, string>, wanted: string): boolean {
  const [key = '', value] = wanted.split(/=(.*)/s);
  return Object.hasOwn(attributes, key) && (value === undefined || attributes[key] === value);
}
