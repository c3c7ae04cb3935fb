/** The tree of a parsed template. Positions are `line` (from 1) and `column` (bytes from 0), as Go reports them. */

export interface Position {
  readonly line: number;
  readonly column: number;
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | Branch
  | { readonly kind: 'break' | 'continue' };

export interface Branch {
  readonly kind: 'if' | 'with' | 'range';
  readonly pipeline: Pipeline;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

/** `$a, $b := command | command`. */
export interface Pipeline {
  readonly variables: readonly string[];
  /** True for `=`, which sets variables that exist. */
  readonly assign: boolean;
  readonly commands: readonly CommandNode[];
}

export interface CommandNode extends Position {
  readonly source: string;
  readonly operands: readonly Operand[];
}

export interface Operand extends Position {
  readonly source: string;
  readonly base: OperandBase;
  readonly fields: readonly FieldName[];
}

export interface FieldName extends Position {
  readonly name: string;
}

export type OperandBase =
  | { readonly kind: 'dot' }
  | { readonly kind: 'nil' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'constant'; readonly value: string | number | boolean }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline };

/** The text cannot be read as a template; the message is Go's, without a prefix. */
export class TemplateSyntaxError extends Error {}

/** The template cannot be carried out on this value. */
export class TemplateExecError extends Error {}
