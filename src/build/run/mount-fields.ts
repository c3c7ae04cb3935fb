/** The value of `RUN --mount` as one line of CSV. */
import { InvalidParameterError } from '../../base/errors.ts';

/** The fields of one line of CSV: `a,"b,c"`, with `""` for a quote within quotes. */
export function csvFields(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const { field, end } = line[at] === '"' ? quotedField(line, at) : plainField(line, at);
    fields.push(field);
    if (end >= line.length) return fields;
    at = end + 1;
  }
}

function plainField(line: string, at: number): { field: string; end: number } {
  const comma = line.indexOf(',', at);
  const end = comma < 0 ? line.length : comma;
  const field = line.slice(at, end);
  if (field.includes('"')) {
    throw new InvalidParameterError(`invalid value "${line}" of --mount: a quote within a field`);
  }
  return { field, end };
}

function quotedField(line: string, at: number): { field: string; end: number } {
  let field = '';
  for (let from = at + 1; ; ) {
    const quote = line.indexOf('"', from);
    if (quote < 0)
      throw new InvalidParameterError(`invalid value "${line}" of --mount: a quote is not closed`);
    field += line.slice(from, quote);
    const next = line[quote + 1];
    if (next === undefined || next === ',') return { field, end: quote + 1 };
    if (next !== '"') {
      throw new InvalidParameterError(`invalid value "${line}" of --mount: text behind a closing quote`);
    }
    field += '"';
    from = quote + 2;
  }
}
