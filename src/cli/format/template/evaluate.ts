/** Carries out a parsed template on a value. */
import {
  type Branch,
  type CommandNode,
  type FieldName,
  type Node,
  type Operand,
  type Pipeline,
  type Position,
  TemplateExecError,
} from './nodes.ts';
import {
  GoMap,
  GoNil,
  GoStruct,
  isTrue,
  type Method,
  NO_VALUE,
  printValue,
  typeName,
  type Value,
} from './values.ts';

export type Functions = Readonly<Record<string, Method>>;

/** The text that the template gives for `data`. Throws `TemplateExecError` with Go's message. */
export function executeTemplate(nodes: readonly Node[], data: Value, functions: Functions): string {
  const run = new Execution(data, functions);
  run.list(nodes, data);
  return run.output;
}

type Flow = 'next' | 'break' | 'continue';

class Execution {
  output = '';
  #scopes: Map<string, Value>[];

  readonly #functions: Functions;

  constructor(data: Value, functions: Functions) {
    this.#functions = functions;
    this.#scopes = [new Map([['$', data]])];
  }

  list(nodes: readonly Node[], dot: Value): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  #node(node: Node, dot: Value): Flow {
    switch (node.kind) {
      case 'text':
        this.output += node.text;
        return 'next';
      case 'action': {
        const value = this.#pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length === 0) this.output += printValue(value);
        return 'next';
      }
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipeline(node.pipeline, dot);
          if (!isTrue(value)) return this.list(node.otherwise, dot);
          return this.list(node.body, node.kind === 'with' ? value : dot);
        });
      case 'range':
        return this.#scoped(() => this.#range(node, dot));
      default:
        return node.kind;
    }
  }

  #range(node: Branch, dot: Value): Flow {
    const { variables } = node.pipeline;
    const value = this.#pipeline({ ...node.pipeline, variables: [] }, dot);
    const items = this.#items(value, node.pipeline.commands[0]);
    if (items.length === 0) return this.list(node.otherwise, dot);
    for (const [key, item] of items) {
      const flow = this.#scoped(() => {
        if (variables.length > 0) this.#set(variables.at(-1) ?? '', item, node.pipeline.assign);
        if (variables.length > 1) this.#set(variables[0] ?? '', key, node.pipeline.assign);
        return this.list(node.body, item);
      });
      if (flow === 'break') break;
    }
    return 'next';
  }

  #items(value: Value, at: CommandNode | undefined): [Value, Value][] {
    if (value instanceof GoMap) return [...value.entries];
    if (value instanceof GoNil) return [];
    if (Array.isArray(value)) return (value as readonly Value[]).map((item, index) => [index, item]);
    if (typeof value === 'number') return Array.from({ length: value }, (_, index) => [index, index]);
    throw failure(at, `range can't iterate over ${printValue(value)}`);
  }

  #scoped(body: () => Flow): Flow {
    this.#scopes.push(new Map());
    try {
      return body();
    } finally {
      this.#scopes.pop();
    }
  }

  #set(name: string, value: Value, assign: boolean): void {
    const scope = assign ? this.#scopes.findLast((candidate) => candidate.has(name)) : this.#scopes.at(-1);
    scope?.set(name, value);
  }

  #variable(name: string): Value {
    return this.#scopes.findLast((scope) => scope.has(name))?.get(name) ?? NO_VALUE;
  }

  #pipeline(pipeline: Pipeline, dot: Value): Value {
    let value: Value | undefined;
    for (const command of pipeline.commands) value = this.#command(command, dot, value);
    const result = value ?? NO_VALUE;
    for (const name of pipeline.variables) this.#set(name, result, pipeline.assign);
    return result;
  }

  /** `piped` is the last argument of a call, where a command came before. */
  #command(command: CommandNode, dot: Value, piped: Value | undefined): Value {
    const [first, ...rest] = command.operands;
    if (first === undefined) return NO_VALUE;
    const extra = piped === undefined ? [] : [piped];
    if (first.base.kind === 'function') {
      const { name } = first.base;
      const lazy = [
        ...rest.map((operand) => () => this.#operand(operand, dot, [])),
        ...extra.map((value) => () => value),
      ];
      return this.#fields(this.#call(name, lazy, command), first, []);
    }
    if (first.base.kind === 'nil') throw failure(command, 'nil is not a command');
    const args = [...rest.map((operand) => this.#operand(operand, dot, [])), ...extra];
    if (args.length > 0 && first.fields.length === 0) {
      throw failure(command, `can't give argument to non-function ${first.source}`);
    }
    return this.#operand(first, dot, args);
  }

  #call(name: string, args: (() => Value)[], command: CommandNode): Value {
    if (name === 'and' || name === 'or') return shortCircuit(name, args);
    const call = this.#functions[name];
    if (call === undefined) throw failure(command, `error calling ${name}: not supported`);
    const values = args.map((arg) => arg());
    if (call.length > values.length) {
      throw failure(command, `wrong number of args for ${name}: want ${call.length} got ${values.length}`);
    }
    try {
      return call(...values);
    } catch (error) {
      throw failure(command, `error calling ${name}: ${(error as Error).message}`);
    }
  }

  #operand(operand: Operand, dot: Value, args: readonly Value[]): Value {
    return this.#fields(this.#base(operand, dot), operand, args);
  }

  #base({ base, source }: Operand, dot: Value): Value {
    switch (base.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return new GoNil('pointer');
      case 'constant':
        return base.value;
      case 'variable':
        return this.#variable(base.name);
      case 'pipeline':
        return this.#pipeline(base.pipeline, dot);
      case 'function':
        return this.#call(base.name, [], { source, operands: [], line: 1, column: 0 });
    }
  }

  #fields(start: Value, operand: Operand, args: readonly Value[]): Value {
    return operand.fields.reduce<Value>(
      (value, field, index) =>
        fieldOf(value, field, operand, index === operand.fields.length - 1 ? args : []),
      start,
    );
  }
}

function shortCircuit(name: 'and' | 'or', args: (() => Value)[]): Value {
  let value: Value = NO_VALUE;
  for (const arg of args) {
    value = arg();
    if (isTrue(value) === (name === 'or')) return value;
  }
  return value;
}

function fieldOf(value: Value, field: FieldName, operand: Operand, args: readonly Value[]): Value {
  const at = { ...operand, line: field.line, column: field.column };
  if (value instanceof GoMap) return value.entries.get(field.name) ?? NO_VALUE;
  if (value instanceof GoStruct) {
    const found = value.fields.get(field.name);
    if (found === undefined) throw failure(at, value.missing.replace('%', field.name));
    if (typeof found !== 'function') return found;
    if (args.length < found.length) {
      throw failure(at, `wrong number of args for ${field.name}: want ${found.length} got ${args.length}`);
    }
    return found(...args);
  }
  if (value instanceof GoNil && (value.kind === 'map' || value.kind === 'absent')) return NO_VALUE;
  if (value instanceof GoNil) throw failure(at, `nil pointer evaluating interface {}.${field.name}`);
  throw failure(
    at,
    `can't evaluate field ${field.name} in type ${Array.isArray(value) ? typeName(value) : 'interface {}'}`,
  );
}

function failure(at: (Position & { source: string }) | undefined, reason: string): TemplateExecError {
  const { line = 1, column = 0, source = '' } = at ?? {};
  const shown = source.length > 20 ? `${source.slice(0, 20)}...` : source;
  return new TemplateExecError(`template: :${line}:${column}: executing "" at <${shown}>: ${reason}`);
}
