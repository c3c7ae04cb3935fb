/** Splits a template into text and the tokens of its actions, with Go's trimming (`{{-`, `-}}`) and comments. */
import { type Position, TemplateSyntaxError } from './nodes.ts';

export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'field'
  | 'dot'
  | 'variable'
  | 'word'
  | 'number'
  | 'string'
  | 'char'
  | 'space'
  | 'symbol';

export interface Token extends Position {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const RULES: readonly [TokenKind, RegExp][] = [
  ['space', /[ \t\r\n]+/y],
  ['string', /"(?:\\.|[^"\\\n])*"|`[^`]*`/y],
  ['char', /'(?:\\.|[^'\\\n])+'/y],
  [
    'number',
    /[+-]?(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/y,
  ],
  ['field', /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ['dot', /\./y],
  ['variable', /\$[\p{L}\p{N}_]*/uy],
  ['word', /[\p{L}_][\p{L}\p{N}_]*/uy],
  ['symbol', /:=|[=|,()]/y],
];

/** Throws `TemplateSyntaxError`. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const add = (kind: TokenKind, start: number, end: number, text = source.slice(start, end)): void => {
    tokens.push({ kind, text, start, end, ...positionOf(source, start) });
  };
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const open = source.indexOf('{{', at);
    const end = open < 0 ? source.length : open;
    const trimLeft = open >= 0 && /^\{\{-\s/.test(source.slice(open, open + 4));
    let text = source.slice(at, end);
    if (trimNext) text = text.trimStart();
    if (trimLeft) text = text.trimEnd();
    if (text !== '') add('text', at, end, text);
    if (open < 0) break;
    const inner = open + (trimLeft ? 3 : 2);
    const comment = /\s*\/\*/y;
    comment.lastIndex = inner;
    if (comment.test(source)) {
      ({ at, trimNext } = skipComment(source, open, comment.lastIndex));
      continue;
    }
    add('open', open, inner);
    ({ at, trimNext } = lexAction(source, inner, add));
  }
  return tokens;
}

interface AfterAction {
  at: number;
  trimNext: boolean;
}

function skipComment(source: string, open: number, from: number): AfterAction {
  const end = source.indexOf('*/', from);
  if (end < 0) throw syntaxError(source, open, 'unclosed comment');
  const close = /\s*?( -)?\}\}/y;
  close.lastIndex = end + 2;
  const match = close.exec(source);
  if (match === null) throw syntaxError(source, open, 'comment ends before closing delimiter');
  return { at: close.lastIndex, trimNext: match[1] !== undefined };
}

function lexAction(
  source: string,
  start: number,
  add: (kind: TokenKind, start: number, end: number) => void,
): AfterAction {
  let at = start;
  while (at < source.length) {
    const trim = /^\s-\}\}/.test(source.slice(at, at + 4));
    if (trim || source.startsWith('}}', at)) {
      const end = at + (trim ? 4 : 2);
      add('close', at, end);
      return { at: end, trimNext: trim };
    }
    const token = nextToken(source, at);
    add(token.kind, at, token.end);
    at = token.end;
  }
  throw syntaxError(source, start, 'unclosed action');
}

function nextToken(source: string, at: number): { kind: TokenKind; end: number } {
  for (const [kind, rule] of RULES) {
    rule.lastIndex = at;
    if (rule.test(source)) return { kind, end: trimBefore(source, at, kind, rule.lastIndex) };
  }
  const char = source[at] ?? '';
  if (char === '"') throw syntaxError(source, at, 'unterminated quoted string');
  if (char === '`') throw syntaxError(source, at, 'unterminated raw quoted string');
  throw syntaxError(
    source,
    at,
    `unexpected bad character U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')} '${char}'`,
  );
}

/** Of several spaces before `-}}` the last belongs to the marker. */
function trimBefore(source: string, at: number, kind: TokenKind, end: number): number {
  return kind === 'space' && source.startsWith('-}}', end) && end - at > 1 ? end - 1 : end;
}

export function positionOf(source: string, offset: number): Position {
  const before = source.slice(0, offset);
  const newline = before.lastIndexOf('\n');
  return {
    line: before.split('\n').length,
    column: Buffer.byteLength(before.slice(newline + 1)),
  };
}

export function syntaxError(source: string, offset: number, reason: string): TemplateSyntaxError {
  return new TemplateSyntaxError(`template: :${positionOf(source, offset).line}: ${reason}`);
}
