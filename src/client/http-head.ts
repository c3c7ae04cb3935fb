/** Heads of HTTP/1.1 messages (RFC 9112): writing a request's, reading an answer's. */
import type { BodyFraming } from './body-decoder.ts';

/** Names in lower case; of a repeated header the last value. */
export type HttpHeaders = Readonly<Record<string, string>>;

/** Of a request: a list repeats the header. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[]>>;

export interface AnswerHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: HttpHeaders;
  /** False where the daemon closes the connection behind the body. */
  readonly keepAlive: boolean;
}

/** Throws where a value would begin another header. */
export function requestHead(method: string, path: string, headers: RequestHeaders): string {
  let head = `${method} ${path} HTTP/1.1\r\n`;
  for (const [name, values] of Object.entries(headers)) {
    for (const value of typeof values === 'string' ? [values] : values) {
      if (/[\r\n\0]/.test(value)) throw new Error(`header ${name} holds a line break`);
      head += `${name}: ${value}\r\n`;
    }
  }
  return `${head}\r\n`;
}

/** Reads the text before the empty line. Throws where it is no HTTP/1 answer. */
export function parseAnswerHead(text: string): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n');
  const match = /^HTTP\/1\.([01]) (\d{3}) ?(.*)$/.exec(first);
  if (match === null) throw new Error(`malformed HTTP response "${first.slice(0, 80)}"`);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const connection = headers['connection']?.toLowerCase() ?? '';
  const keepAlive = match[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive');
  return { status: Number(match[2]), reason: match[3] ?? '', headers, keepAlive };
}

/** RFC 9112, section 6.3. */
export function bodyFraming(method: string, { status, headers }: AnswerHead): BodyFraming {
  if (method === 'HEAD' || status === 204 || status === 304) return { kind: 'length', bytes: 0 };
  if (headers['transfer-encoding']?.toLowerCase().includes('chunked')) return { kind: 'chunked' };
  const length = headers['content-length'];
  if (length !== undefined && /^\d+$/.test(length)) return { kind: 'length', bytes: Number(length) };
  return { kind: 'close' };
}

/** Bodies of known length say it; a request that has none says nothing, unless its method expects one. */
export function withLength(method: string, headers: RequestHeaders, length: number): RequestHeaders {
  if (length === 0 && method !== 'POST' && method !== 'PUT') return headers;
  return { ...headers, 'content-length': String(length) };
}
