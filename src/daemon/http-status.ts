/** The only place that knows which HTTP status an engine error has (Engine API: "Errors"). */
import { EngineError, type ErrorKind, errorMessage } from '../base/errors.ts';

const STATUS: Record<ErrorKind, number> = {
  NotModified: 304,
  InvalidParameter: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  Internal: 500,
  NotImplemented: 501,
  Unavailable: 503,
};

/** Status and message of anything thrown; what is not an EngineError is a fault of ours: 500. */
export function httpStatus(error: unknown): { status: number; message: string } {
  const message = errorMessage(error);
  return { status: error instanceof EngineError ? STATUS[error.kind] : 500, message };
}
