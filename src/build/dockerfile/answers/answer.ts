/**
 * Answers about a Dockerfile that BuildKit's clients ask for instead of a build (`docker buildx build --call`): by name,
 * what a program reads (`result.json`) and what people do (`result.txt`).
 */
import type { BuildSourceRange } from '../../../api/build-status.ts';

export type SubrequestAnswer = Readonly<Record<string, Buffer>>;

/** Of all three requests, as clients compare it. */
const VERSION = '1.0.0';

export function answerOf(
  json: unknown,
  text: string,
  more: Readonly<Record<string, string>> = {},
): SubrequestAnswer {
  const parts = { 'result.json': JSON.stringify(json, undefined, 2), 'result.txt': text, ...more };
  const all = Object.entries({ ...parts, version: VERSION });
  return Object.fromEntries(all.map(([name, value]) => [name, Buffer.from(value)]));
}

export interface AnswerLocation {
  ranges: { start: { line: number }; end: { line: number } }[];
}

/** A range a line. */
export function locationOf({ start, end }: BuildSourceRange): AnswerLocation {
  const ranges: AnswerLocation['ranges'] = [];
  for (let line = start.line; line <= Math.max(start.line, end.line); line++) {
    ranges.push({ start: { line }, end: { line } });
  }
  return { ranges };
}

/** Columns that are as wide as their widest cell and `gap` more; the last one is not filled up. */
export function columns(rows: readonly (readonly string[])[], gap: number): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.slice(0, -1).entries()) {
      widths[index] = Math.max(widths[index] ?? 0, [...cell].length + gap);
    }
  }
  const line = (row: readonly string[]): string =>
    row.map((cell, index) => (index + 1 < row.length ? padded(cell, widths[index] ?? 0) : cell)).join('');
  return rows.map((row) => `${line(row)}\n`).join('');
}

function padded(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - [...cell].length));
}
