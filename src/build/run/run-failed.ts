/** A RUN whose program ended with another code than 0, or could not be executed. */
import { EngineError, InvalidParameterError } from '../../base/errors.ts';

export class RunFailedError extends EngineError {
  /** 127 where the program was not found, 126 where it cannot be executed. */
  readonly exitCode: number;
  /** The end of what it printed, both streams in the order in which it came. */
  readonly lastOutput: string;
  /** Names the state that was kept for RunService.shell; undefined where none was. */
  readonly keptStep: string | undefined;

  constructor(
    args: readonly string[],
    failure: { exitCode: number; lastOutput: string; keptStep?: string | undefined },
  ) {
    super('InvalidParameter', notCompleted(args, `exit code: ${failure.exitCode}`));
    this.exitCode = failure.exitCode;
    this.lastOutput = failure.lastOutput;
    this.keptStep = failure.keptStep;
  }
}

/** What a step's own process cannot have (a user that the root does not know), in the words of one that failed. */
export function explainStepError(args: readonly string[], error: unknown): unknown {
  if (!(error instanceof InvalidParameterError)) return error;
  return new InvalidParameterError(notCompleted(args, error.message), error);
}

function notCompleted(args: readonly string[], reason: string): string {
  return `process "${args.join(' ')}" did not complete successfully: ${reason}`;
}
