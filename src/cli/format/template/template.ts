/**
 * Go's text/template, as `--format` takes it: text, fields, pipelines, variables, if, with, range, and the functions
 * of functions.ts. Messages and positions are Go's, for scripts look at them.
 */
import { executeTemplate, type Functions } from './evaluate.ts';
import { FUNCTION_NAMES, FUNCTIONS } from './functions.ts';
import { parseTemplate } from './parse.ts';
import type { Value } from './values.ts';

export interface Template {
  /** `functions` replace those of the same name. Throws `TemplateExecError`. */
  execute(data: Value, functions?: Functions): string;
}

/** Throws `TemplateSyntaxError`. */
export function compileTemplate(source: string): Template {
  const nodes = parseTemplate(source, FUNCTION_NAMES);
  return {
    execute: (data, functions = {}) => executeTemplate(nodes, data, { ...FUNCTIONS, ...functions }),
  };
}
