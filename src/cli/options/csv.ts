/** One line of comma-separated fields; a field in double quotes may hold commas, `""` inside it is one quote. */

/** Throws on quotes that are not closed or that stand inside a bare field (RFC 4180). */
export function splitCsv(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  do {
    const [field, next] = line[at] === '"' ? quotedField(line, at) : bareField(line, at);
    fields.push(field);
    at = next + 1;
  } while (at <= line.length && line[at - 1] === ',');
  return fields;
}

function bareField(line: string, start: number): [field: string, end: number] {
  const comma = line.indexOf(',', start);
  const end = comma < 0 ? line.length : comma;
  const field = line.slice(start, end);
  if (field.includes('"')) throw new Error('parse error: bare " in non-quoted field');
  return [field, end];
}

function quotedField(line: string, start: number): [field: string, end: number] {
  let field = '';
  for (let at = start + 1; at < line.length; at++) {
    if (line[at] !== '"') field += line[at];
    else if (line[at + 1] === '"') {
      field += '"';
      at++;
    } else if (at + 1 === line.length || line[at + 1] === ',') return [field, at + 1];
    else break;
  }
  throw new Error('parse error: extraneous or missing " in quoted-field');
}
