/**
 * What a registry's 401 becomes in the answer to a pull or a search: 500, as dockerd has it. On 401 the docker program
 * asks for a name and a password, also where nobody is there to type them, and waits.
 */
import { EngineError, InternalError } from '../../../base/errors.ts';

/** Errors of other kinds pass unchanged. */
export function registryRefusal(error: unknown): unknown {
  if (!(error instanceof EngineError) || error.kind !== 'Unauthorized') return error;
  return new InternalError(error.message, error);
}
