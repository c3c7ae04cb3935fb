/**
 * From a Dockerfile's text to its logical lines: directives, comments, continuations and heredocs. What a line means
 * is parse.ts's matter.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { EscapeCharacter, Heredoc } from './ast.ts';

export interface LogicalLine {
  text: string;
  line: number;
  endLine: number;
  heredocs: Heredoc[];
}

export interface SplitDockerfile {
  escapeChar: EscapeCharacter;
  directives: Record<string, string>;
  lines: LogicalLine[];
  warnings: string[];
}

/** An error of a line, in Docker's form. */
export function parseError(line: number, problem: string): InvalidParameterError {
  return new InvalidParameterError(`dockerfile parse error on line ${line}: ${problem}`);
}

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const KNOWN_DIRECTIVES = new Set(['syntax', 'escape', 'check']);
/** Instructions that may be followed by heredocs, alone or behind ONBUILD. */
const WITH_HEREDOC = /^\s*(?:onbuild\s+)?(?:run|copy|add)\s/i;

/** Throws InvalidParameter, naming the line, for broken directives and heredocs without an end. */
export function splitLines(text: string): SplitDockerfile {
  const physical = text.replace(/^\uFEFF/, '').split('\n');
  // A newline at the end does not begin another line.
  if (physical.at(-1) === '') physical.pop();
  const { directives, count } = readDirectives(physical);
  const escapeChar = escapeOf(directives, physical);
  const cursor = new LineCursor(physical, count, escapeChar);
  const lines: LogicalLine[] = [];
  for (let line = cursor.next(); line !== undefined; line = cursor.next()) lines.push(line);
  return { escapeChar, directives, lines, warnings: cursor.warnings };
}

function readDirectives(physical: string[]): { directives: Record<string, string>; count: number } {
  const directives: Record<string, string> = {};
  let count = 0;
  for (const line of physical) {
    const match = DIRECTIVE.exec(line.trim());
    const name = match?.[1]?.toLowerCase() ?? '';
    if (match === null || !KNOWN_DIRECTIVES.has(name)) break;
    count++;
    if (directives[name] !== undefined) {
      throw parseError(count, `only one ${name} parser directive can be used`);
    }
    directives[name] = match[2] ?? '';
  }
  return { directives, count };
}

function escapeOf(directives: Record<string, string>, physical: string[]): EscapeCharacter {
  const escapeChar = directives['escape'] ?? '\\';
  if (escapeChar === '\\' || escapeChar === '`') return escapeChar;
  const line = physical.findIndex((one) => /escape/i.test(one)) + 1;
  throw parseError(line, `invalid escape token '${escapeChar}' does not match \` or \\`);
}

class LineCursor {
  readonly warnings: string[] = [];
  readonly #physical: readonly string[];
  readonly #continuation: RegExp;
  readonly #escapeChar: EscapeCharacter;
  #at: number;

  constructor(physical: readonly string[], at: number, escapeChar: EscapeCharacter) {
    this.#physical = physical;
    this.#at = at;
    this.#escapeChar = escapeChar;
    const token = escapeChar === '\\' ? '\\\\' : '`';
    // At the end of a line, unless it is escaped itself; or alone on a line.
    this.#continuation = new RegExp(`(^|[^${token}])${token}[ \\t]*$`);
  }

  next(): LogicalLine | undefined {
    while (this.#at < this.#physical.length && isSkipped(this.#physical[this.#at] ?? '')) this.#at++;
    if (this.#at >= this.#physical.length) return undefined;
    const line = this.#at + 1;
    const text = this.#joined(line);
    if (text.trim() === '') return this.next();
    const heredocs = WITH_HEREDOC.test(text) && text.includes('<<') ? this.#heredocs(text, line) : [];
    return { text: text.trim(), line, endLine: this.#at, heredocs };
  }

  #joined(line: number): string {
    let [text, open] = this.#cut((this.#physical[this.#at++] ?? '').trimStart());
    let empty = false;
    while (open && this.#at < this.#physical.length) {
      const next = (this.#physical[this.#at++] ?? '').replace(/\r$/, '');
      if (next.trimStart().startsWith('#')) continue;
      if (next.trim() === '') {
        empty = true;
        continue;
      }
      const [part, more] = this.#cut(next);
      text += part;
      open = more;
    }
    if (empty) this.warnings.push(`Empty continuation line found in: ${text.trim()} (line ${line})`);
    return text;
  }

  /** The line without its continuation token, and whether it had one. */
  #cut(line: string): [string, boolean] {
    const text = line.replace(/\r$/, '');
    return this.#continuation.test(text) ? [text.replace(this.#continuation, '$1'), true] : [text, false];
  }

  #heredocs(text: string, line: number): Heredoc[] {
    const rest = text.trim().replace(/^(?:onbuild\s+)?\S+\s+/i, '');
    // The exec form is data: `RUN ["cat", "<<EOF"]`.
    if (isJsonArray(rest)) return [];
    return shellWords(rest, this.#escapeChar).flatMap((word) => {
      const heredoc = parseHeredocWord(word);
      return heredoc === undefined ? [] : [{ ...heredoc, content: this.#heredocBody(heredoc, line) }];
    });
  }

  #heredocBody(heredoc: Omit<Heredoc, 'content'>, line: number): string {
    let content = '';
    while (this.#at < this.#physical.length) {
      const raw = this.#physical[this.#at++] ?? '';
      const bare = raw.replace(/\r$/, '');
      if ((heredoc.chomp ? bare.replace(/^\t+/, '') : bare) === heredoc.name) {
        return heredoc.chomp ? content.replace(/^\t+/gm, '') : content;
      }
      content += `${raw}\n`;
    }
    throw parseError(line, 'unterminated heredoc');
  }
}

function isSkipped(line: string): boolean {
  const text = line.trim();
  return text === '' || text.startsWith('#');
}

function isJsonArray(text: string): boolean {
  if (!text.startsWith('[')) return false;
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}

/** Splits at blanks outside of quotes; quotes and escapes stay in the words, and `<<` keeps the word after it. */
export function shellWords(text: string, escapeChar: EscapeCharacter): string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === escapeChar && quote !== "'") {
      word += char + (text[++i] ?? '');
    } else if (quote !== '') {
      word += char;
      if (char === quote) quote = '';
    } else if (/\s/.test(char)) {
      if (/^\d*<<-?$/.test(word)) continue;
      if (word !== '') words.push(word);
      word = '';
    } else {
      if (char === '"' || char === "'") quote = char;
      word += char;
    }
  }
  if (word !== '') words.push(word);
  return words;
}

/** `<<EOF`, `3<<-"EOF"`; undefined for any other word. */
export function parseHeredocWord(word: string): Omit<Heredoc, 'content'> | undefined {
  const match = /^\d*<<(-?)([^<\s]+)$/.exec(word);
  if (match === null) return undefined;
  const raw = match[2] ?? '';
  const name = raw.replace(/["'\\]/g, '');
  return name === '' ? undefined : { name, expand: name === raw, chomp: match[1] === '-' };
}
