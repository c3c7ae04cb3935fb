/** Parses Go's text/template language; `define`, `template` and `block` are refused by name. */
import { syntaxError, type Token, tokenize } from './lexer.ts';
import type { Branch, CommandNode, FieldName, Node, Operand, OperandBase, Pipeline } from './nodes.ts';

/** Throws `TemplateSyntaxError`. Words that are no keyword must be among `functions`. */
export function parseTemplate(source: string, functions: ReadonlySet<string>): Node[] {
  const parser = new Parser(source, functions);
  const { nodes, end } = parser.list(false);
  if (end !== 'eof') throw parser.fail(`unexpected {{${end}}}`);
  return nodes;
}

type ListEnd = 'eof' | 'end' | 'else';

class Parser {
  readonly #source: string;
  readonly #functions: ReadonlySet<string>;
  readonly #tokens: Token[];
  #at = 0;
  readonly #scopes: Set<string>[] = [new Set(['$'])];

  constructor(source: string, functions: ReadonlySet<string>) {
    this.#source = source;
    this.#functions = functions;
    this.#tokens = tokenize(source);
  }

  fail(reason: string): Error {
    return syntaxError(this.#source, this.#peek()?.start ?? this.#source.length, reason);
  }

  /** Up to the end of the text, `{{end}}` or the `else` of `{{else`, which are read. */
  list(inRange: boolean): { nodes: Node[]; end: ListEnd } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#next();
      if (token === undefined) return { nodes, end: 'eof' };
      if (token.kind === 'text') {
        nodes.push({ kind: 'text', text: token.text });
        continue;
      }
      this.#skipSpace();
      const word = this.#peek()?.kind === 'word' ? (this.#peek()?.text ?? '') : '';
      if (word === 'end') {
        this.#at++;
        this.#close('end');
        return { nodes, end: 'end' };
      }
      if (word === 'else') {
        this.#at++;
        return { nodes, end: 'else' };
      }
      nodes.push(this.#action(word, inRange));
    }
  }

  #action(word: string, inRange: boolean): Node {
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        this.#at++;
        return this.#branch(word, inRange);
      case 'break':
      case 'continue':
        if (!inRange) throw this.fail(`{{${word}}} outside {{range}}`);
        this.#at++;
        this.#close(word);
        return { kind: word };
      case 'define':
      case 'template':
      case 'block':
        throw this.fail(`{{${word}}} is not supported`);
      default: {
        const pipeline = this.#pipeline('command');
        this.#close('command');
        return { kind: 'action', pipeline };
      }
    }
  }

  #branch(kind: Branch['kind'], inRange: boolean): Branch {
    this.#scopes.push(new Set());
    const pipeline = this.#pipeline(kind);
    this.#close(kind);
    const inside = kind === 'range' || inRange;
    const body = this.list(inside);
    let otherwise: Node[] = [];
    if (body.end === 'else') otherwise = this.#otherwise(kind, inside);
    else if (body.end === 'eof') throw this.fail('unexpected EOF');
    this.#scopes.pop();
    return { kind, pipeline, body: body.nodes, otherwise };
  }

  /** `{{else}}…{{end}}`, or `{{else if …}}` whose one `{{end}}` closes both. */
  #otherwise(kind: Branch['kind'], inRange: boolean): Node[] {
    this.#skipSpace();
    const word = this.#peek();
    if (kind !== 'range' && word?.kind === 'word' && word.text === kind) {
      this.#at++;
      return [this.#branch(kind, inRange)];
    }
    this.#close('else');
    const { nodes, end } = this.list(inRange);
    if (end === 'eof') throw this.fail('unexpected EOF');
    if (end === 'else') throw this.fail('expected end; found {{else}}');
    return nodes;
  }

  #pipeline(context: string): Pipeline {
    const { variables, assign } = this.#declaration(context);
    const commands: CommandNode[] = [];
    do {
      this.#skipSpace();
      commands.push(this.#command(context));
      this.#skipSpace();
    } while (this.#take('symbol', '|'));
    return { variables, assign, commands };
  }

  /** `$x :=`, `$x =`, and in a range `$i, $x :=`. */
  #declaration(context: string): { variables: string[]; assign: boolean } {
    const start = this.#at;
    const variables: string[] = [];
    this.#skipSpace();
    while (this.#peek()?.kind === 'variable') {
      variables.push(this.#next()?.text ?? '');
      this.#skipSpace();
      if (this.#take('symbol', ':=')) {
        for (const name of variables) this.#scopes.at(-1)?.add(name);
        return { variables, assign: false };
      }
      if (this.#take('symbol', '=')) return { variables, assign: true };
      if (context !== 'range' || variables.length > 1 || !this.#take('symbol', ',')) break;
      this.#skipSpace();
    }
    this.#at = start;
    return { variables: [], assign: false };
  }

  #command(context: string): CommandNode {
    const operands: Operand[] = [];
    const first = this.#peek();
    for (;;) {
      this.#skipSpace();
      const token = this.#peek();
      if (
        token === undefined ||
        token.kind === 'close' ||
        (token.kind === 'symbol' && '|)'.includes(token.text))
      )
        break;
      operands.push(this.#operand(context));
      const after = this.#peek();
      if (after !== undefined && !['space', 'close', 'symbol'].includes(after.kind)) {
        throw this.fail(`unexpected ${describe(after)} in operand`);
      }
    }
    if (first === undefined || operands.length === 0) {
      throw this.fail(
        context === 'command' && this.#peek()?.kind === 'close'
          ? 'missing value for command'
          : `missing value for ${context}`,
      );
    }
    const end = operands.at(-1);
    const source = this.#source.slice(first.start, end === undefined ? first.end : this.#endOf(end));
    return { line: first.line, column: first.column, source, operands };
  }

  #operand(context: string): Operand {
    const first = this.#peek();
    const base = this.#base(context);
    const fields: FieldName[] = [];
    for (let token = this.#peek(); token?.kind === 'field'; token = this.#peek()) {
      fields.push({ name: token.text.slice(1), line: token.line, column: token.column });
      this.#at++;
    }
    const start = first?.start ?? 0;
    const source = this.#source.slice(start, this.#tokens[this.#at - 1]?.end);
    return { base, fields, source, line: first?.line ?? 1, column: first?.column ?? 0 };
  }

  #base(context: string): OperandBase {
    const token = this.#next();
    switch (token?.kind) {
      case 'field':
        this.#at--;
        return { kind: 'dot' };
      case 'dot':
        return { kind: 'dot' };
      case 'variable':
        if (!this.#scopes.some((scope) => scope.has(token.text)))
          throw this.fail(`undefined variable "${token.text}"`);
        return { kind: 'variable', name: token.text };
      case 'number':
        return { kind: 'constant', value: readNumber(token.text) };
      case 'string':
      case 'char':
        return { kind: 'constant', value: readQuoted(token.text) };
      case 'word':
        return this.#word(token.text);
      case 'symbol':
        if (token.text === '(') return this.#parenthesised();
        break;
      default:
    }
    this.#at--;
    throw this.fail(`unexpected ${token === undefined ? 'EOF' : describe(token)} in ${context}`);
  }

  #word(text: string): OperandBase {
    if (text === 'true' || text === 'false') return { kind: 'constant', value: text === 'true' };
    if (text === 'nil') return { kind: 'nil' };
    if (!this.#functions.has(text)) throw this.fail(`function "${text}" not defined`);
    return { kind: 'function', name: text };
  }

  #parenthesised(): OperandBase {
    const pipeline = this.#pipeline('parenthesized pipeline');
    if (!this.#take('symbol', ')')) throw this.fail('unclosed left paren');
    return { kind: 'pipeline', pipeline };
  }

  #close(context: string): void {
    this.#skipSpace();
    const token = this.#next();
    if (token?.kind !== 'close') {
      this.#at--;
      throw this.fail(`unexpected ${token === undefined ? 'EOF' : describe(token)} in ${context}`);
    }
  }

  #endOf(operand: Operand): number {
    const token = this.#tokens.findLast((candidate, index) => index < this.#at && candidate.kind !== 'space');
    return token?.end ?? operand.column;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  #take(kind: Token['kind'], text: string): boolean {
    const token = this.#peek();
    if (token?.kind !== kind || token.text !== text) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    while (this.#peek()?.kind === 'space') this.#at++;
  }
}

function describe(token: Token): string {
  return token.kind === 'close' ? '"}}"' : `<${token.text}>`;
}

function readNumber(text: string): number {
  const digits = text.replaceAll('_', '');
  const sign = digits.startsWith('-') ? -1 : 1;
  return sign * Number(digits.replace(/^[+-]/, ''));
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };

/** Go's string forms; a character constant is its code point's text. */
function readQuoted(text: string): string | number {
  const inner = text.slice(1, -1);
  if (text.startsWith('`')) return inner;
  const value = inner.replace(
    /\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{3}|.)/g,
    (_, code: string) => {
      if (/^[xuU]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]{3}$/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
      return ESCAPES[code] ?? code;
    },
  );
  return text.startsWith("'") ? (value.codePointAt(0) ?? 0) : value;
}
