/**
 * Errors of a build that know their place in the Dockerfile. Printers show the lines around it; BuildKit's clients get
 * it as details of the error and print it themselves.
 */
import type { BuildSourceRange } from '../../api/build-status.ts';
import { EngineError, type ErrorKind, errorMessage } from '../../base/errors.ts';

export interface BuildErrorSource {
  /** As the request names it. */
  filename: string;
  /** The whole text of the Dockerfile. */
  content: string;
  range: BuildSourceRange;
}

/** What an instruction fails with. `message` is BuildKit's: the cause's, behind the text of the step. */
export class BuildError extends EngineError {
  readonly source: BuildErrorSource | undefined;
  /** Of the step's vertex, where it had begun. */
  readonly vertex: string | undefined;
  /** Of the program that RUN ran. */
  readonly exitCode: number | undefined;

  constructor(
    cause: unknown,
    place: {
      message?: string;
      source?: BuildErrorSource | undefined;
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

/** Lines around the place, as BuildKit's clients print them: `>>>` marks those that failed. */
export function sourceExcerpt({ filename, content, range }: BuildErrorSource): string {
  const lines = content.split('\n');
  const [first, last] = [range.start.line, Math.max(range.start.line, range.end.line)];
  const from = Math.max(1, first - 2);
  const to = Math.min(lines.length, last + 2);
  const rows: string[] = [];
  for (let line = from; line <= to; line++) {
    const mark = line >= first && line <= last ? '>>>' : '   ';
    rows.push(
      `${String(line).padStart(4)} | ${mark} ${(lines[line - 1] ?? '').replace(/\r$/, '')}`.trimEnd(),
    );
  }
  return `${filename}:${first}\n--------------------\n${rows.join('\n')}\n--------------------\n`;
}
