/**
 * Errors of a build that know their place in the Dockerfile. Printers show the lines around it; BuildKit's clients get
 * it as details of the error and print it themselves.
 */
import { EngineError, type ErrorKind, errorMessage } from '../../base/errors.ts';
import type { DockerfileSource } from '../dockerfile/errors.ts';

/** What an instruction fails with. `message` is BuildKit's: the cause's, behind the text of the step. */
export class BuildError extends EngineError {
  readonly source: DockerfileSource | undefined;
  /** Of the step's vertex, where it had begun. */
  readonly vertex: string | undefined;
  /** Of the program that RUN ran. */
  readonly exitCode: number | undefined;

  constructor(
    cause: unknown,
    place: {
      message?: string;
      source?: DockerfileSource | undefined;
      vertex?: string | undefined;
      exitCode?: number | undefined;
    },
  ) {
    super(kindOf(cause), place.message ?? errorMessage(cause));
    this.cause = cause;
    this.source = place.source;
    this.vertex = place.vertex;
    this.exitCode = place.exitCode;
  }
}

function kindOf(error: unknown): ErrorKind {
  return error instanceof EngineError ? error.kind : 'Internal';
}
