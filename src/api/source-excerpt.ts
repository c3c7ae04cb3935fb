/** The lines of a file around a place, as BuildKit's clients show them under errors and warnings of a build. */
import type { BuildSourceRange } from './build-status.ts';

export interface SourceExcerpt {
  /** As the request names it. */
  filename: string;
  /** The whole text. */
  content: string;
  range: BuildSourceRange;
}

/**
 * `Dockerfile:3` and the lines around the place, those of the place marked by `>>>`, as docker buildx prints them: one
 * line with two above and below it, several with one. Empty for a place that the file does not have.
 */
export function formatExcerpt({ filename, content, range }: SourceExcerpt): string {
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
