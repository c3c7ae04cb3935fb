/** Pieces of table cells: shortened text, short IDs, label lists. */

/** At most `length` code points; what is cut off shows as an ellipsis. */
export function ellipsis(text: string, length: number): string {
  const points = [...text];
  if (points.length <= length) return text;
  return length <= 3 ? points.slice(0, length).join('') : `${points.slice(0, length - 1).join('')}…`;
}

/** The first 12 digits of an ID, without `sha256:`. */
export function shortId(id: string): string {
  return id.replace(/^[a-z\d]+:/, '').slice(0, 12);
}

/** `a=b,c=d`, by key. */
export function labelText(labels: Readonly<Record<string, string>> | null | undefined): string {
  return Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(',');
}

/** Text of strangers for a terminal: what it would obey is written as its number. Line feeds and tabs stay. */
export function printableText(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** The same for one line or one cell of a table: line feeds and tabs would forge others. */
export function printableLine(text: string): string {
  return printableText(text).replace(/[\n\t]/g, (char) => (char === '\n' ? '\\x0a' : '\\x09'));
}
