/**
 * Reading JSON that strangers wrote: every accessor checks the type it promises and names the field that is wrong.
 * `null` counts as absent, as it does for the Go programs that wrote most of these documents.
 */
import { InvalidParameterError } from '../base/errors.ts';

export type JsonObject = { [key: string]: unknown };

/** One object of a document, with the path to it for messages. */
export class JsonReader {
  readonly value: JsonObject;
  readonly where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new InvalidParameterError(`${where}: expected an object`);
    }
    this.value = value as JsonObject;
    this.where = where;
  }

  /** Parses a whole document. `what` names it in messages: `image manifest`. */
  static parse(bytes: Uint8Array, what: string): JsonReader {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (error) {
      throw new InvalidParameterError(`${what} is not valid JSON`, error);
    }
    return new JsonReader(value, what);
  }

  /** Whether the field is there and not null. */
  has(key: string): boolean {
    return Object.hasOwn(this.value, key) && this.value[key] !== null;
  }

  private get(key: string): unknown {
    return this.has(key) ? this.value[key] : undefined;
  }

  fail(key: string, expected: string): never {
    throw new InvalidParameterError(`${this.where}: field "${key}": expected ${expected}`);
  }

  string(key: string): string | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== 'string') this.fail(key, 'a string');
    return value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.get(key);
    if (value !== undefined && typeof value !== 'boolean') this.fail(key, 'true or false');
    return value;
  }

  /** An integer that a double holds exactly. */
  integer(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) this.fail(key, 'an integer');
    return value;
  }

  object(key: string): JsonReader | undefined {
    const value = this.get(key);
    return value === undefined ? undefined : new JsonReader(value, `${this.where}: ${key}`);
  }

  array(key: string): unknown[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) this.fail(key, 'an array');
    return value;
  }

  /** The array's elements as objects, each with its place. */
  objects(key: string): JsonReader[] | undefined {
    return this.array(key)?.map((item, i) => new JsonReader(item, `${this.where}: ${key}[${i}]`));
  }

  strings(key: string): string[] | undefined {
    return this.array(key)?.map((item) => {
      if (typeof item !== 'string') this.fail(key, 'an array of strings');
      return item;
    });
  }

  /** An object whose values are all strings. */
  stringMap(key: string): Record<string, string> | undefined {
    const value = this.object(key)?.value;
    if (value === undefined) return undefined;
    if (Object.values(value).some((item) => typeof item !== 'string')) this.fail(key, 'an object of strings');
    return value as Record<string, string>;
  }
}
