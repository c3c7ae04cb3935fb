/**
 * Lists of objects in the forms of `--format`: the verb's own table, `table TEMPLATE`, `json`, or a template a row.
 */
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { goEscape } from './json-indent.ts';
import { alignTable } from './table.ts';
import { TemplateExecError, TemplateSyntaxError } from './template/nodes.ts';
import { compileTemplate, type Template } from './template/template.ts';
import { GoStruct, type Method, type Value } from './template/values.ts';
import { printableLine } from './text.ts';

/** What the rows of one kind of object offer. */
export interface RowKind<Row> {
  /** Go's name of the row's type, for messages. */
  readonly typeName: string;
  /** What a failing template is reported as; default `failed to execute template`. */
  readonly templateFailure?: string;
  /** Go's package of that type; default `formatter`. */
  readonly package?: string;
  /** Field name to its column's heading and its value, in the order of their names. */
  readonly fields: Readonly<Record<string, RowField<Row>>>;
  /** Fields that take arguments (`.Label "key"`); their heading is made from the argument. */
  readonly methods?: Readonly<Record<string, (row: Row, argument: string) => string>>;
}

export interface RowField<Row> {
  readonly heading: string;
  readonly value: (row: Row) => Value;
  /** In JSON, where it is written differently there. */
  readonly json?: (row: Row) => string;
}

/** Prints the rows. `format` is the flag's text; empty or `table` is `byDefault` (a `table …` form). */
export function printRows<Row>(
  io: Io,
  kind: RowKind<Row>,
  rows: readonly Row[],
  format: string | undefined,
  byDefault: string,
): void {
  io.stdout.write(rowsText(kind, rows, format, byDefault));
}

/** The text that `printRows` prints. */
export function rowsText<Row>(
  kind: RowKind<Row>,
  rows: readonly Row[],
  format: string | undefined,
  byDefault: string,
): string {
  const wanted = format === undefined || format === '' || format === 'table' ? byDefault : format;
  const isTable = wanted.startsWith('table ');
  const source = (isTable ? wanted.slice('table '.length) : wanted === 'json' ? '{{json .}}' : wanted).trim();
  const template = compileRows(source.replaceAll('\\t', '\t').replaceAll('\\n', '\n'));
  try {
    if (isTable) {
      const heading = template.execute(headingRow(kind), HEADING_FUNCTIONS);
      return alignTable([heading, ...rows.map((row) => template.execute(rowValue(kind, row, forCell)))]);
    }
    return rows.map((row) => `${template.execute(rowValue(kind, row))}\n`).join('');
  } catch (error) {
    if (!(error instanceof TemplateExecError)) throw error;
    throw new CliError(`${kind.templateFailure ?? 'failed to execute template'}: ${error.message}`);
  }
}

/** True where the template looks at `field`, by name or by printing the whole row. */
export function formatUses(format: string | undefined, field: string): boolean {
  return format !== undefined && new RegExp(`\\.${field}\\b|json \\.(?![A-Za-z])`).test(format);
}

function compileRows(source: string): Template {
  try {
    return compileTemplate(source);
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error;
    throw new CliError(`failed to parse template: ${error.message}`);
  }
}

/** Tables are for people at terminals, and names, labels and commands are often those of strangers. */
function forCell(value: Value): Value {
  return typeof value === 'string' ? printableLine(value) : value;
}

/** `shown` is applied to every value; the scripts that read other forms than tables get them as they are. */
function rowValue<Row>(kind: RowKind<Row>, row: Row, shown = (value: Value): Value => value): GoStruct {
  const fields = new Map<string, Value | Method>();
  for (const [name, field] of Object.entries(kind.fields)) fields.set(name, () => shown(field.value(row)));
  for (const [name, method] of Object.entries(kind.methods ?? {})) {
    fields.set(name, (argument) => shown(method(row, String(argument))));
  }
  return new GoStruct(fields, missingField(kind), true, rowJson(kind, row));
}

/** Undefined where JSON has the same texts as the table. */
function rowJson<Row>(kind: RowKind<Row>, row: Row): string | undefined {
  const fields = Object.entries(kind.fields);
  if (fields.every(([, { json }]) => json === undefined)) return undefined;
  const values = fields.map(([name, { json, value }]) => [name, json?.(row) ?? String(value(row))]);
  return goEscape(JSON.stringify(Object.fromEntries(values)));
}

function headingRow<Row>(kind: RowKind<Row>): GoStruct {
  const fields = new Map<string, Value | Method>();
  for (const [name, field] of Object.entries(kind.fields)) fields.set(name, field.heading);
  for (const name of Object.keys(kind.methods ?? {}))
    fields.set(name, (argument) => labelHeading(String(argument)));
  return new GoStruct(fields, missingField(kind));
}

function missingField<Row>(kind: RowKind<Row>): string {
  return `can't evaluate field % in type *${kind.package ?? 'formatter'}.${kind.typeName}`;
}

/** `com.example.my-label` heads its column as `my label`. */
function labelHeading(name: string): string {
  return (name.split('.').at(-1) ?? '').replace(/[-_]/g, ' ');
}

const first: Method = (value) => value as Value;

/** In a heading these leave their argument as it is. */
const HEADING_FUNCTIONS: Readonly<Record<string, Method>> = {
  join: first,
  json: first,
  lower: first,
  pad: first,
  split: first,
  title: first,
  truncate: first,
  upper: first,
};
