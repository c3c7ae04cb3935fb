/**
 * What registries answer when they refuse (OCI distribution-spec, "Error Codes"), and how a pull reports it: the
 * texts and kinds are Docker's, because users and scripts know them.
 */
import {
  EngineError,
  errnoCode,
  errorMessage,
  ForbiddenError,
  InternalError,
  NotFoundError,
  UnauthorizedError,
  UnavailableError,
} from '../../base/errors.ts';
import { familiarName, familiarString, type Reference } from '../reference.ts';

/** The registry answered, with a status that is not success. */
export class RegistryError extends Error {
  readonly status: number;
  /** The registry's code, as `MANIFEST_UNKNOWN`; empty where the answer held none. */
  readonly code: string;
  /** How long the registry asks to wait; undefined where it does not say. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'RegistryError';
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No answer: name resolution, connection, TLS, a reset, a stall. */
export class TransportError extends Error {
  readonly code: string;

  constructor(message: string, code: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TransportError';
    this.code = code;
  }
}

const DEFAULT_MESSAGES: Readonly<Record<string, string>> = {
  DENIED: 'requested access to the resource is denied',
  UNAUTHORIZED: 'authentication required',
  MANIFEST_UNKNOWN: 'manifest unknown',
  NAME_UNKNOWN: 'repository name not known to registry',
  BLOB_UNKNOWN: 'blob unknown to registry',
  TOOMANYREQUESTS: 'too many requests',
  UNSUPPORTED: 'The operation is unsupported.',
  UNAVAILABLE: 'service unavailable',
};

/** `manifest unknown: manifest unknown`, as Docker prints a code and its message. */
function codeMessage(code: string, message: string): string {
  return `${code.toLowerCase().replaceAll('_', ' ')}: ${message}`;
}

/** An error with one of the codes above and its usual message. */
export function codedError(status: number, code: string, message = ''): RegistryError {
  return new RegistryError(
    status,
    code,
    codeMessage(code, message || (DEFAULT_MESSAGES[code] ?? 'unknown error')),
  );
}

/** The request that an error is about, without its query, which may be as good as a password. */
export function requestName(method: string, url: URL): string {
  return `${method} "${url.origin}${url.pathname}"`;
}

/** What a pull or push puts the image's name to, or has Docker's text for without it. */
const NAMED_STATUSES = new Set([401, 403, 404]);

/**
 * Builds the error of a request from its response; `body` may be cut short. Statuses that have nothing to do with what
 * was asked, as 429 and 500, say which request it was.
 */
export function parseErrorResponse(
  status: number,
  statusText: string,
  body: string,
  retryAfterMs?: number,
  asked = '',
): RegistryError {
  const where = asked === '' || NAMED_STATUSES.has(status) ? '' : ` (${asked})`;
  const found = firstError(body);
  if (found !== undefined) {
    const { code, message } = found;
    return new RegistryError(status, code, `${codeMessage(code, message)}${where}`, retryAfterMs);
  }
  const fallback = { 401: 'UNAUTHORIZED', 403: 'DENIED', 429: 'TOOMANYREQUESTS' }[status];
  if (fallback !== undefined) {
    const detail = tokenServerDetails(body) || printable(body) || (DEFAULT_MESSAGES[fallback] ?? '');
    return new RegistryError(status, fallback, `${codeMessage(fallback, detail)}${where}`, retryAfterMs);
  }
  const excerpt = printable(body) === '' || status >= 500 ? '' : `: ${printable(body)}`;
  const message = `received unexpected HTTP status: ${status} ${statusText}${excerpt}${where}`;
  return new RegistryError(status, '', message, retryAfterMs);
}

function parseObject(body: string): { errors?: unknown; details?: unknown } {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    // Proxies answer in HTML or plain text; the caller falls back to the status.
    return {};
  }
}

/** Token servers give their reason as `{"details": "…"}`. */
function tokenServerDetails(body: string): string {
  const { details } = parseObject(body);
  return typeof details === 'string' ? printable(details) : '';
}

function firstError(body: string): { code: string; message: string } | undefined {
  const { errors } = parseObject(body);
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first !== 'object' || first === null) return undefined;
  const { code, message } = first as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || code === '') return undefined;
  const text =
    typeof message === 'string' && message !== '' ? message : (DEFAULT_MESSAGES[code] ?? 'unknown error');
  return { code: printable(code), message: printable(text) };
}

/** One line of at most 300 characters: registries' words end up on terminals and in logs. */
function printable(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, 300);
}

const TLS_CODES = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
]);

/** Docker's words for what Node reports about a failed request. */
export function transportError(method: string, url: URL, error: unknown): TransportError {
  const code = deepCode(error);
  const target = `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;
  // Without the whole URL, whose query may be as good as a password.
  let reason = errorMessage(error).replace(/^request to \S+ failed, reason: /, '');
  if (code === 'ENOTFOUND') reason = `dial tcp: lookup ${url.hostname}: no such host`;
  else if (code === 'EAI_AGAIN')
    reason = `dial tcp: lookup ${url.hostname}: temporary failure in name resolution`;
  else if (code === 'ECONNREFUSED') reason = `dial tcp ${target}: connect: connection refused`;
  else if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    reason = 'http: server gave HTTP response to HTTPS client';
  } else if (TLS_CODES.has(code)) {
    reason = 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
  } else if (code === 'CERT_HAS_EXPIRED') {
    reason = 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  } else if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    reason = `tls: failed to verify certificate: x509: certificate is not valid for ${url.hostname}`;
  }
  return new TransportError(`${requestName(method, url)}: ${reason}`, code, error);
}

/** The server keeps the connection but sends nothing. */
export function stalledError(method: string, url: URL, timeoutMs: number): TransportError {
  const message = `${requestName(method, url)}: no data for ${timeoutMs / 1000} seconds`;
  return new TransportError(message, 'STALLED');
}

function deepCode(error: unknown): string {
  const own = errnoCode(error);
  if (own === 'EPROTO' && errorMessage(error).includes('wrong version number'))
    return 'ERR_SSL_WRONG_VERSION_NUMBER';
  if (own !== undefined) return own;
  return error instanceof Error && error.cause !== undefined ? deepCode(error.cause) : '';
}

/** The error that a pull of `reference` ends with. Errors that are the engine's own already pass unchanged. */
export function translatePullError(error: unknown, reference: Reference): unknown {
  if (error instanceof EngineError) return error;
  // Its message has the reason already.
  if (error instanceof TransportError) return new UnavailableError(error.message);
  if (!(error instanceof RegistryError)) return error;
  const { code, message, status } = error;
  if (code === 'DENIED') {
    return new NotFoundError(
      `pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${message}`,
      error,
    );
  }
  if (code === 'NAME_UNKNOWN') {
    return new NotFoundError(`repository ${familiarName(reference)} not found: ${message}`, error);
  }
  if (code === 'MANIFEST_UNKNOWN' || status === 404) {
    return new NotFoundError(`manifest for ${familiarString(reference)} not found: ${message}`, error);
  }
  if (status === 401) return new UnauthorizedError(message, error);
  if (status === 429 || status >= 500) return new UnavailableError(message, error);
  return new InternalError(message, error);
}

/** The error that a push ends with: what the registry says, as it says it. */
export function translatePushError(error: unknown): unknown {
  if (error instanceof TransportError) return new UnavailableError(error.message, error);
  if (!(error instanceof RegistryError)) return error;
  const { message, status } = error;
  if (status === 401) return new UnauthorizedError(message, error);
  if (status === 403) return new ForbiddenError(message, error);
  if (status === 404) return new NotFoundError(message, error);
  if (status === 429 || status >= 500) return new UnavailableError(message, error);
  return new InternalError(message, error);
}
