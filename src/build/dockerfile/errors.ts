/** Errors of a Dockerfile that know where in it they are. */
import type { BuildSourceRange } from '../../api/build-status.ts';
import type { SourceExcerpt } from '../../api/source-excerpt.ts';
import { InvalidParameterError } from '../../base/errors.ts';

/** A place in a Dockerfile. */
export type DockerfileSource = SourceExcerpt;

export class DockerfileError extends InvalidParameterError implements DockerfileSource {
  readonly filename: string;
  readonly content: string;
  readonly range: BuildSourceRange;

  constructor(message: string, source: DockerfileSource) {
    super(message);
    this.filename = source.filename;
    this.content = source.content;
    this.range = source.range;
  }

  /** The same error, of a file that is known by now. */
  inFile(filename: string, content: string): DockerfileError {
    return new DockerfileError(this.message, { filename, content, range: this.range });
  }
}

/** In Docker's form: `dockerfile parse error on line 3: …`. Lines count from 1. */
export function parseError(line: number, problem: string, endLine = line): DockerfileError {
  return new DockerfileError(`dockerfile parse error on line ${line}: ${problem}`, {
    filename: '',
    content: '',
    range: { start: { line }, end: { line: endLine } },
  });
}
