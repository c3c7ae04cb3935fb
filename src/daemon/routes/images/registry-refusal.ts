/**
 * What a registry's 401 becomes in the answer to a pull or a search: 500, as dockerd has it. On 401 the docker program
 * asks for a name and a password, also where nobody is there to type them, and waits.
 */
import { EngineError, InternalError } from '../../../base/errors.ts';
import type { ApiResponse } from '../../response.ts';

/** Answers for an error of a registry. Throws those of other kinds. */
export function answerRefusal(response: ApiResponse, error: unknown): void {
  if (!(error instanceof EngineError) || error.kind !== 'Unauthorized') throw error;
  response.error(new InternalError(error.message, error));
}
