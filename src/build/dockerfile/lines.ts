/**
 * From a Dockerfile's text to its logical lines: directives, comments, continuations and heredocs. What a line means
 * is parse.ts's matter.
 */
import type { EscapeCharacter, Heredoc } from './ast.ts';
import { type Directive, linesOf, readDirectives } from './directives.ts';
import { parseError } from './errors.ts';
import { heredocWords } from './heredoc.ts';

export interface LogicalLine {
  text: string;
  line: number;
  endLine: number;
  heredocs: Heredoc[];
  /** The comments above it, from the last empty one on, without `#`. */
  comments: string[];
}

export interface SplitDockerfile {
  escapeChar: EscapeCharacter;
  directives: readonly Directive[];
  lines: LogicalLine[];
  /** Lines where instructions end that have empty lines between their continued ones. */
  emptyContinuations: number[];
}

/** Instructions that may be followed by heredocs, alone or behind ONBUILD. */
const WITH_HEREDOC = /^\s*(?:onbuild\s+)?(?:run|copy|add)\s/i;

/** Throws DockerfileError for broken directives and heredocs without an end. */
export function splitLines(text: string): SplitDockerfile {
  const physical = linesOf(text);
  // A newline at the end does not begin another line.
  if (physical.at(-1) === '') physical.pop();
  const directives = readDirectives(physical);
  const escapeChar = escapeOf(directives);
  const cursor = new LineCursor(physical, directives.length, escapeChar);
  const lines: LogicalLine[] = [];
  for (let line = cursor.next(); line !== undefined; line = cursor.next()) lines.push(line);
  return { escapeChar, directives, lines, emptyContinuations: cursor.emptyContinuations };
}

function escapeOf(directives: readonly Directive[]): EscapeCharacter {
  const given = directives.find(({ name }) => name === 'escape');
  if (given === undefined) return '\\';
  if (given.value === '\\' || given.value === '`') return given.value;
  throw parseError(given.line, `invalid escape token '${given.value}' does not match \` or \\`);
}

class LineCursor {
  readonly emptyContinuations: number[] = [];
  readonly #physical: readonly string[];
  readonly #continuation: RegExp;
  #at: number;

  constructor(physical: readonly string[], at: number, escapeChar: EscapeCharacter) {
    this.#physical = physical;
    this.#at = at;
    const token = escapeChar === '\\' ? '\\\\' : '`';
    // At the end of a line, unless it is escaped itself; or alone on a line.
    this.#continuation = new RegExp(`(^|[^${token}])${token}[ \\t]*$`);
  }

  next(): LogicalLine | undefined {
    const comments = this.#comments();
    if (this.#at >= this.#physical.length) return undefined;
    const line = this.#at + 1;
    const text = this.#joined();
    // Nothing but continued empty lines, up to the end.
    if (text.trim() === '') return this.next();
    const heredocs = WITH_HEREDOC.test(text) && text.includes('<<') ? this.#heredocs(text, line) : [];
    return { text: text.trim(), line, endLine: this.#at, heredocs, comments };
  }

  /** Passes empty lines and comments. */
  #comments(): string[] {
    let comments: string[] = [];
    for (; this.#at < this.#physical.length; this.#at++) {
      const text = (this.#physical[this.#at] ?? '').trim();
      if (text !== '' && !text.startsWith('#')) break;
      const comment = text.slice(1).trim();
      if (comment !== '') comments.push(comment);
      else if (text !== '') comments = [];
    }
    return comments;
  }

  #joined(): string {
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
    if (empty) this.emptyContinuations.push(this.#at);
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
    return heredocWords(text).map((word) => ({ ...word, content: this.#heredocBody(word, line) }));
  }

  #heredocBody(heredoc: Omit<Heredoc, 'content'>, line: number): string {
    let content = '';
    while (this.#at < this.#physical.length) {
      const raw = this.#physical[this.#at++] ?? '';
      const bare = raw.replace(/\r$/, '');
      if ((heredoc.chomp ? bare.replace(/^\t+/, '') : bare) === heredoc.name) {
        return content;
      }
      content += `${raw}\n`;
    }
    throw parseError(line, 'unterminated heredoc', this.#at);
  }
}

function isJsonArray(text: string): boolean {
  if (!text.startsWith('[')) return false;
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}
