/**
 * Errors of a Dockerfile that know where in it they are, and the lines around a place as BuildKit's clients show them.
 */
import type { BuildSourceRange } from '../../api/build-status.ts';
import { InvalidParameterError } from '../../base/errors.ts';

/** A place in a Dockerfile. */
export interface DockerfileSource {
  /** As the request names it. */
  filename: string;
  /** The whole text. */
  content: string;
  range: BuildSourceRange;
}

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

/**
 * `Dockerfile:3` and the lines around the place, those of the place marked by `>>>`, as docker buildx prints them: one
 * line with two above and below it, several with one. Empty for a place that the file does not have.
 */
export function formatExcerpt({ filename, content, range }: DockerfileSource): string {
  const lines = content.split('\n');
  const first = range.start.line;
  const last = Math.max(first, range.end.line);
  if (first < 1 || first > lines.length) return '';
  const [from, to] = shownLines(first, Math.min(last, lines.length), lines.length);
  let text = `${filename}:${first}\n--------------------\n`;
  for (let line = from; line <= to; line++) {
    const mark = line >= first && line <= last ? '>>>' : '   ';
    text += ` ${String(line).padStart(3)} | ${mark} ${(lines[line - 1] ?? '').replace(/\r$/, '')}\n`;
  }
  return `${text}--------------------\n`;
}

/** One line: two above and two below; several: one each. */
function shownLines(first: number, last: number, count: number): [number, number] {
  const context = first === last ? 4 : 2;
  let [from, to] = [first, last];
  for (let shown = 0; shown < context; shown++) {
    if (from > 1) {
      from--;
      shown++;
    }
    if (to < count) {
      to++;
      shown++;
    }
  }
  return [from, to];
}
