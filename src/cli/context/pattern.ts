/**
 * The patterns of .dockerignore: Go's filepath.Match plus `**` for any number of folders. A pattern is compiled to a
 * regular expression over slash-separated paths.
 */

/** Throws `syntax error in pattern` for one that Go refuses (an unclosed class, a lone backslash at the end). */
export function compilePattern(pattern: string): RegExp {
  let source = '^';
  let at = 0;
  while (at < pattern.length) {
    const [piece, next] = compilePiece(pattern, at);
    source += piece;
    at = next;
  }
  return new RegExp(`${source}$`, 'su');
}

function compilePiece(pattern: string, at: number): [regexp: string, next: number] {
  const char = pattern[at] ?? '';
  if (char === '*' && pattern[at + 1] === '*') return doubleStar(pattern, at + 2);
  if (char === '*') return ['[^/]*', at + 1];
  if (char === '?') return ['[^/]', at + 1];
  if (char === '[') return charClass(pattern, at + 1);
  if (char !== '\\') return literal(pattern, at);
  if (at + 1 === pattern.length) throw badPattern(pattern);
  return literal(pattern, at + 1);
}

/** `**` and a slash behind it match no folder too; at the end it matches everything. */
function doubleStar(pattern: string, at: number): [string, number] {
  const next = pattern[at] === '/' ? at + 1 : at;
  return next === pattern.length ? ['.*', next] : ['(?:.*/)?', next];
}

function charClass(pattern: string, start: number): [string, number] {
  let at = start;
  const negated = pattern[at] === '^';
  if (negated) at++;
  let body = '';
  do {
    const [low, afterLow] = classChar(pattern, at);
    at = afterLow;
    body += low;
    if (pattern[at] === '-') {
      const [high, afterHigh] = classChar(pattern, at + 1);
      body += `-${high}`;
      at = afterHigh;
    }
  } while (pattern[at] !== ']');
  return [`${negated ? '(?!/)[^' : '['}${body}]`, at + 1];
}

function classChar(pattern: string, at: number): [string, number] {
  const start = pattern[at] === '\\' ? at + 1 : at;
  const char = codePoint(pattern, start);
  if (char === '' || (start === at && (char === '-' || char === ']'))) throw badPattern(pattern);
  return [/[\\\]^-]/.test(char) ? `\\${char}` : escapeInClass(char), start + char.length];
}

function literal(pattern: string, at: number): [string, number] {
  const char = codePoint(pattern, at);
  return [char.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&'), at + char.length];
}

function codePoint(text: string, at: number): string {
  const code = text.codePointAt(at);
  return code === undefined ? '' : String.fromCodePoint(code);
}

function escapeInClass(char: string): string {
  return char === '[' ? '\\[' : char;
}

function badPattern(pattern: string): Error {
  return new Error(`syntax error in pattern: ${pattern}`);
}
