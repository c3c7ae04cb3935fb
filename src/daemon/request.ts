/**
 * One API request as handlers see it: path parameters, query, JSON body, and a signal that fires when the client goes
 * away. Types and ranges that come from a client are checked here once; a wrong one is InvalidParameter.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Filters, InvalidFilterError, parseFilters } from '../api/filters.ts';
import { compareApiVersions } from '../api/version.ts';
import { InvalidParameterError } from '../base/errors.ts';
import { readBody, readUpgradeBody } from './request-body.ts';

/** Of arrays and objects in each other. What goes over a body calls itself for each, and the stack has an end. */
const JSON_DEPTH_MAX = 100;

export class ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  readonly query: URLSearchParams;
  readonly message: IncomingMessage;
  readonly params: Record<string, string>;
  /** Fires when the client disconnects before the answer is complete. */
  readonly signal: AbortSignal;
  /** For a request with `Upgrade:`, what arrived after its headers; the HTTP parser has let go of the socket. */
  readonly upgrade: { socket: Socket; head: Buffer } | null;
  #bodyRead = false;

  constructor(fields: {
    message: IncomingMessage;
    path: string;
    version: string;
    query: URLSearchParams;
    params: Record<string, string>;
    signal: AbortSignal;
    upgrade: { socket: Socket; head: Buffer } | null;
  }) {
    this.method = fields.message.method ?? 'GET';
    this.message = fields.message;
    this.path = fields.path;
    this.version = fields.version;
    this.query = fields.query;
    this.params = fields.params;
    this.signal = fields.signal;
    this.upgrade = fields.upgrade;
    // A body that breaks off is told to whoever reads it at that moment, and else to nobody.
    fields.message.on('error', () => undefined);
    refuseNul(fields.query, 'query parameter');
    refuseNul(Object.entries(fields.params), 'path parameter');
  }

  /** True where the client asked for this API version or a newer one. */
  atLeast(version: string): boolean {
    return compareApiVersions(this.version, version) >= 0;
  }

  param(name: string): string {
    const value = this.params[name];
    if (value === undefined) throw new InvalidParameterError(`missing path parameter "${name}"`);
    return value;
  }

  /** A query value, or `fallback` where it is absent. */
  text(name: string, fallback = ''): string {
    return this.query.get(name) ?? fallback;
  }

  /** Docker's reading of a boolean: absent, empty, 0, no, false and none are false (any case), all else is true. */
  flag(name: string, fallback = false): boolean {
    const value = this.query.get(name);
    if (value === null) return fallback;
    return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
  }

  /** An integer from the query; undefined where absent or empty. */
  integer(name: string): number | undefined {
    const value = this.query.get(name);
    if (value === null || value === '') return undefined;
    if (!/^-?\d{1,15}$/.test(value)) {
      throw new InvalidParameterError(`strconv.Atoi: parsing "${value}": invalid syntax`);
    }
    return Number(value);
  }

  filters(): Filters {
    try {
      return parseFilters(this.query.get('filters'));
    } catch (error) {
      if (error instanceof InvalidFilterError) throw new InvalidParameterError(error.message);
      throw error;
    }
  }

  header(name: string): string | undefined {
    const value = this.message.headers[name.toLowerCase()];
    return Array.isArray(value) ? value[0] : value;
  }

  /**
   * The JSON body. An empty body is `undefined`. Throws InvalidParameter for a wrong content type, for what is not
   * one JSON object, for more than 8 MiB, for more than 100 levels of nesting, and where it takes a minute to come.
   */
  async json(): Promise<unknown> {
    const body = await this.body();
    if (body.length === 0) return undefined;
    const type = this.header('content-type');
    if (type !== undefined && !/^application\/json\b/i.test(type)) {
      throw new InvalidParameterError(
        `unsupported Content-Type header (${type}): must be 'application/json'`,
      );
    }
    if (isNestedDeeper(body, JSON_DEPTH_MAX)) {
      throw new InvalidParameterError(
        `invalid JSON in request body: nested deeper than ${JSON_DEPTH_MAX} levels`,
      );
    }
    let value: unknown;
    try {
      value = JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw new InvalidParameterError('invalid JSON in request body', error);
    }
    if (value === null) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) {
      throw new InvalidParameterError('invalid JSON: request body is not an object');
    }
    return value;
  }

  async body(): Promise<Buffer> {
    this.#bodyRead = true;
    return this.upgrade === null ? readBody(this.message) : this.#upgradeBody(this.upgrade);
  }

  /**
   * Reads a body of known length that no handler has asked for, so that none of it is taken for the stream that
   * follows on the connection: clients send one with attach, where it means nothing.
   */
  async drain(): Promise<void> {
    if (this.#bodyRead || this.header('transfer-encoding') !== undefined) return;
    if (Number(this.header('content-length') ?? 0) > 0) await this.body();
  }

  /** Node hands the body of an upgrade request over with the stream: cut it off by its length. */
  async #upgradeBody(upgrade: { socket: Socket; head: Buffer }): Promise<Buffer> {
    if (this.header('transfer-encoding') !== undefined) {
      throw new InvalidParameterError(
        'an upgrade request with a chunked body is not supported: send Content-Length',
      );
    }
    const length = Number(this.header('content-length') ?? 0);
    if (!Number.isInteger(length) || length < 0) throw new InvalidParameterError('invalid Content-Length');
    const { body, rest } = await readUpgradeBody(upgrade.socket, upgrade.head, length);
    upgrade.head = rest;
    return body;
  }
}

/** What C and the kernel take for the end of a name: no name, path or value of the API holds one. */
function refuseNul(parameters: Iterable<[string, string]>, what: string): void {
  for (const [name, value] of parameters) {
    if (value.includes('\0'))
      throw new InvalidParameterError(`invalid ${what} "${name}": it holds a NUL character`);
  }
}

/** Whether a JSON text opens more than `max` arrays and objects in each other; of other texts it says anything. */
function isNestedDeeper(text: Uint8Array, max: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at];
    if (byte === QUOTE) inString = !inString;
    else if (inString) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === BRACKET || byte === BRACE) depth += 1;
    else if (byte === BRACKET_END || byte === BRACE_END) depth -= 1;
    if (depth > max) return true;
  }
  return false;
}

const [QUOTE, BACKSLASH, BRACKET, BRACKET_END, BRACE, BRACE_END] = Buffer.from('"\\[]{}');
