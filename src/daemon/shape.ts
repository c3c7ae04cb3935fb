/**
 * Shapes of request bodies. A shape names the fields that are read and their types; other fields are let through. Null
 * is what Go makes of it: an absent field, and inside lists and maps an empty string, 0, false or an empty object.
 */
import { InvalidParameterError } from '../base/errors.ts';

export type Shape =
  | 'string'
  | 'boolean'
  | 'number'
  | 'integer'
  | 'object'
  | { list: Shape }
  | { map: Shape }
  | { object: Record<string, Shape> };

/**
 * Throws InvalidParameter naming the field, what was expected and what was there. Nulls inside lists and maps are
 * replaced in place; those that stand for a list or object in a map (`"80/tcp": null`) stay.
 */
export function checkShape(value: unknown, shape: Shape, where: string): void {
  if (value === undefined || value === null) return;
  if (typeof shape === 'string') {
    if (!isScalar(value, shape)) throw wrong(value, shape, where);
    return;
  }
  if ('list' in shape) {
    if (!Array.isArray(value)) throw wrong(value, 'array', where);
    for (const [index, item] of value.entries()) {
      if (item === null) value[index] = emptyItem(shape.list);
      else checkShape(item, shape.list, `${where}[${index}]`);
    }
    return;
  }
  if (!isScalar(value, 'object')) throw wrong(value, 'object', where);
  const object = value as Record<string, unknown>;
  for (const [name, item] of Object.entries(object)) {
    const inner = 'map' in shape ? shape.map : ownField(shape.object, name);
    if (inner === undefined) continue;
    if (item === null && 'map' in shape && isPlain(inner)) setOwn(object, name, EMPTY[inner]);
    else checkShape(item, inner, where === '' ? name : `${where}.${name}`);
  }
}

const EMPTY = { string: '', boolean: false, number: 0, integer: 0 } as const;

function isPlain(shape: Shape): shape is keyof typeof EMPTY {
  return typeof shape === 'string' && shape !== 'object';
}

function emptyItem(shape: Shape): unknown {
  if (isPlain(shape)) return EMPTY[shape];
  return typeof shape === 'object' && ('list' in shape || 'map' in shape) ? null : {};
}

function ownField(fields: Record<string, Shape>, name: string): Shape | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

/** Also for `__proto__`, which an assignment takes for something else. */
function setOwn(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function isScalar(value: unknown, type: 'string' | 'boolean' | 'number' | 'integer' | 'object'): boolean {
  if (type === 'integer') return Number.isSafeInteger(value);
  if (type === 'object') return typeof value === 'object' && !Array.isArray(value);
  return typeof value === type;
}

function wrong(value: unknown, expected: string, where: string): InvalidParameterError {
  const found = Array.isArray(value) ? 'array' : typeof value;
  return new InvalidParameterError(
    `invalid JSON: cannot read ${found} ${JSON.stringify(value)?.slice(0, 80)} as ${expected} in field ${where || '(body)'}`,
  );
}
