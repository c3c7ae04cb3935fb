/** Values of `POST /build`'s query: the API's booleans and numbers, and JSON. All throw InvalidParameter, naming the parameter. */
import { InvalidParameterError } from '../base/errors.ts';

/** The API's booleans: everything but these is true. */
export function flag(text: string): boolean {
  return !['', '0', 'no', 'false', 'none'].includes(text.trim().toLowerCase());
}

export function number(text: string, name: string): number {
  if (text === '') return 0;
  if (!/^-?\d{1,18}$/.test(text)) {
    throw new InvalidParameterError(`invalid value "${text}" of ${name}: expected a number`);
  }
  return Number(text);
}

function json(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidParameterError(`error reading ${name}`, error);
  }
}

export function jsonObject(text: string, name: string): Record<string, unknown> {
  const value = json(text, name) ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new InvalidParameterError(`error reading ${name}: expected an object`);
  }
  return value as Record<string, unknown>;
}

export function jsonArray(text: string, name: string): unknown[] {
  const value = json(text, name);
  if (!Array.isArray(value)) throw new InvalidParameterError(`error reading ${name}: expected a list`);
  return value as unknown[];
}

export function jsonMap(text: string, name: string, allowNull: boolean): Record<string, string | null> {
  if (text === '') return {};
  const value = jsonObject(text, name);
  const wrong = Object.entries(value).find(
    ([, item]) => typeof item !== 'string' && !(allowNull && item === null),
  );
  if (wrong !== undefined)
    throw new InvalidParameterError(`error reading ${name}: "${wrong[0]}" is not a string`);
  return value as Record<string, string | null>;
}

export function stringMap(value: unknown, name: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidParameterError(`error reading ${name}: expected an object of strings`);
  }
  const wrong = Object.entries(value).find(([, item]) => typeof item !== 'string');
  if (wrong !== undefined)
    throw new InvalidParameterError(`error reading ${name}: "${wrong[0]}" is not a string`);
  return value as Record<string, string>;
}

export function jsonList(text: string, name: string): string[] {
  if (text === '' || text === 'null') return [];
  const value = jsonArray(text, name);
  if (!value.every((item) => typeof item === 'string')) {
    throw new InvalidParameterError(`error reading ${name}: expected a list of strings`);
  }
  return value;
}
