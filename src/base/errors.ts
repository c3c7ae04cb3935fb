/**
 * The error hierarchy that every module throws. An error says what went wrong in the user's terms; which HTTP
 * status or exit code it becomes is decided in daemon/http-status.ts and cli/main.ts alone.
 */

export type ErrorKind =
  | 'NotFound'
  | 'InvalidParameter'
  | 'Conflict'
  | 'NotModified'
  | 'Forbidden'
  | 'Unauthorized'
  | 'Unavailable'
  | 'NotImplemented'
  | 'Internal';

/** Base of all errors that are meant to reach a user. `kind` survives structured cloning, `instanceof` does not. */
export class EngineError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.name = kind;
  }
}

export class NotFoundError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('NotFound', message, cause);
  }
}

export class InvalidParameterError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('InvalidParameter', message, cause);
  }
}

export class ConflictError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Conflict', message, cause);
  }
}

/** The object already is in the state that was asked for: starting a running container, stopping a stopped one. */
export class NotModifiedError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('NotModified', message, cause);
  }
}

export class ForbiddenError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Forbidden', message, cause);
  }
}

export class UnauthorizedError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Unauthorized', message, cause);
  }
}

/** Something outside the engine is missing or does not answer: a registry, the network, the disk. */
export class UnavailableError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Unavailable', message, cause);
  }
}

export class NotImplementedError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('NotImplemented', message, cause);
  }
}

export class InternalError extends EngineError {
  constructor(message: string, cause?: unknown) {
    super('Internal', message, cause);
  }
}

/** The message of anything thrown, with the messages of its causes behind it where they add something. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : errorMessage(error.cause);
  return cause === '' || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}

/** The errno name (`ENOENT`) of a system error thrown by Node or by the addon; undefined for other errors. */
export function errnoCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** https://www.sqlite.org/rescode.html#full */
const SQLITE_FULL = 13;

/** Whether the error, or what caused it, is that a file system has no room left. */
export function isDiskFull(error: unknown): boolean {
  const code = errnoCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return true;
  if (code === 'ERR_SQLITE_ERROR' && (error as { errcode?: unknown }).errcode === SQLITE_FULL) return true;
  return error instanceof Error && error.cause !== undefined && isDiskFull(error.cause);
}
