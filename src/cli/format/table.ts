/**
 * Aligns lines of tab-separated cells as Docker's tables are (Go's tabwriter with cells of at least 10, 3 spaces
 * between them): a column is as wide as its widest cell over the adjacent lines that have it, and a line's last
 * cell is not padded.
 */

const MIN_WIDTH = 10;
const PADDING = 3;

/** Cells are at least `minWidth` wide (default 10). Each line may have another number of cells. The result ends in a newline where there is a line. */
export function alignTable(lines: readonly string[], minWidth = MIN_WIDTH): string {
  const rows = lines.map((line) => line.split('\t'));
  const widths = rows.map((): number[] => []);
  setWidths(rows, widths, { from: 0, to: rows.length }, 0, minWidth);
  return rows.map((row, index) => `${rowText(row, widths[index] ?? [])}\n`).join('');
}

/** Lines `from` to `to` share the columns before `column`; runs among them that go on form blocks of their own. */
function setWidths(
  rows: readonly string[][],
  widths: number[][],
  { from, to }: { from: number; to: number },
  column: number,
  minWidth: number,
): void {
  let start = from;
  while (start < to) {
    if (!hasPadded(rows[start], column)) {
      start++;
      continue;
    }
    let end = start;
    let width = 0;
    while (end < to && hasPadded(rows[end], column)) {
      width = Math.max(width, cells(rows[end]?.[column] ?? ''));
      end++;
    }
    const padded = width === 0 ? minWidth : Math.max(width + PADDING, minWidth);
    for (let row = start; row < end; row++) widths[row]?.push(padded);
    setWidths(rows, widths, { from: start, to: end }, column + 1, minWidth);
    start = end;
  }
}

function hasPadded(row: readonly string[] | undefined, column: number): boolean {
  return row !== undefined && column < row.length - 1;
}

function rowText(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, index) => cell + ' '.repeat(Math.max((widths[index] ?? 0) - cells(cell), 0)))
    .join('');
}

/** Code points, as tabwriter counts them. */
function cells(text: string): number {
  return [...text].length;
}
