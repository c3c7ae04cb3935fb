/**
 * Shapes of request bodies. A shape names the fields that are read and their types; null stands for absent in every
 * place (Go clients send it), other fields are let through.
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

/** Throws InvalidParameter naming the field, what was expected and what was there. */
export function checkShape(value: unknown, shape: Shape, where: string): void {
  if (value === undefined || value === null) return;
  if (typeof shape === 'string') {
    if (!isScalar(value, shape)) throw wrong(value, shape, where);
    return;
  }
  if ('list' in shape) {
    if (!Array.isArray(value)) throw wrong(value, 'array', where);
    for (const [index, item] of value.entries()) checkShape(item, shape.list, `${where}[${index}]`);
    return;
  }
  if (!isScalar(value, 'object')) throw wrong(value, 'object', where);
  const fields = Object.entries(value as object);
  for (const [name, item] of fields) {
    const inner =
      'map' in shape ? shape.map : Object.hasOwn(shape.object, name) ? shape.object[name] : undefined;
    if (inner !== undefined) checkShape(item, inner, where === '' ? name : `${where}.${name}`);
  }
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
