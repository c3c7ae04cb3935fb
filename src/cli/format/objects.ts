/** Prints inspected objects: as one indented JSON list, or by a template for each. */
import { CliError } from '../cli-error.ts';
import { type Io, printLine } from '../io.ts';
import { indentJson, parseExact } from './json-indent.ts';
import { TemplateExecError, TemplateSyntaxError } from './template/nodes.ts';
import { compileTemplate } from './template/template.ts';
import { goValue, type Value } from './template/values.ts';

const SYNTAX_EXIT = 64;

/** `objects` are JSON texts. Throws `CliError` (64 for a template that cannot be read, 1 for one that fails). */
export function printObjects(io: Io, objects: readonly string[], format: string | undefined): void {
  if (format === undefined || format === '') printLine(io, indentJson(`[${objects.join(',')}]`));
  else if (format === 'json') printLine(io, compactList(objects));
  else
    for (const line of applyTemplate(
      io,
      objects.map((text) => goValue(parseExact(text))),
      format,
    ))
      printLine(io, line);
}

/** The template's text for one value, with Docker's message where it fails. */
export function formatValue(io: Io, value: Value, format: string): string {
  return applyTemplate(io, [value], format).join('\n');
}

function compactList(objects: readonly string[]): string {
  return `[${objects.map((text) => JSON.stringify(JSON.parse(text))).join(',')}]`;
}

function applyTemplate(io: Io, values: readonly Value[], format: string): string[] {
  try {
    const template = compileTemplate(format === 'json' ? '{{json .}}' : format);
    return values.map((value) => template.execute(value));
  } catch (error) {
    if (error instanceof TemplateSyntaxError) {
      throw new CliError(`template parsing error: ${error.message}`, SYNTAX_EXIT);
    }
    if (!(error instanceof TemplateExecError)) throw error;
    printLine(io, '');
    throw new CliError(`template parsing error: ${error.message}`);
  }
}
