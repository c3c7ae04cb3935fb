/**
 * Variables, quotes and escapes in a Dockerfile's words, as a shell would have them: `$name`, `${name}`, and the forms
 * `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//`.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import type { EscapeCharacter } from './ast.ts';
import { ShellPattern } from './shell-pattern.ts';

/** Variables made of variables double with every line. */
const WORD_MAX_LENGTH = 4 * 1024 * 1024;

export interface ExpandOptions {
  escapeChar: EscapeCharacter;
  /** Undefined where the variable is not set. */
  lookup(name: string): string | undefined;
  /** Quotes are letters as any other, as in the content of a heredoc. */
  literalQuotes?: boolean;
}

/** One word: quotes are taken away, blanks stay. Throws InvalidParameter, quoting the text. */
export function expandWord(text: string, options: ExpandOptions): string {
  return new Expander(text, options).whole().text;
}

/** The words of a text: split at blanks that are not quoted, also those that came out of a variable. */
export function expandWords(text: string, options: ExpandOptions): string[] {
  return new Expander(text, options).whole().words;
}

/** Text and words are collected side by side. */
class Output {
  text = '';
  readonly words: string[] = [];
  #word = '';
  #open = false;

  /** Quoted or escaped: never split. */
  addQuoted(text: string): void {
    this.#checkLength(text);
    this.text += text;
    this.#word += text;
    this.#open = true;
  }

  add(text: string): void {
    this.#checkLength(text);
    for (const char of text) {
      this.text += char;
      if (/\s/.test(char)) this.#close();
      else {
        this.#word += char;
        this.#open = true;
      }
    }
  }

  #checkLength(text: string): void {
    if (this.text.length + text.length > WORD_MAX_LENGTH) {
      throw new InvalidParameterError(
        `a word is longer than ${WORD_MAX_LENGTH} characters after its variables were expanded`,
      );
    }
  }

  #close(): void {
    if (this.#open && this.#word !== '') this.words.push(this.#word);
    this.#word = '';
    this.#open = false;
  }

  end(): this {
    this.#close();
    return this;
  }
}

class Expander {
  readonly #text: string;
  readonly #options: ExpandOptions;
  #at = 0;

  constructor(text: string, options: ExpandOptions) {
    this.#text = text;
    this.#options = options;
  }

  whole(): Output {
    try {
      return this.#until('', false);
    } catch (error) {
      if (!(error instanceof InvalidParameterError)) throw error;
      throw new InvalidParameterError(`failed to process ${JSON.stringify(this.#text)}: ${error.message}`);
    }
  }

  #fail(problem: string): never {
    throw new InvalidParameterError(problem);
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(): string {
    return this.#text[this.#at++] ?? '';
  }

  /** Up to `stop`, which is taken too; '' is the end. `rawEscapes`: escapes stay, for patterns. */
  #until(stop: string, rawEscapes: boolean): Output {
    const output = new Output();
    while (this.#at < this.#text.length) {
      const char = this.#take();
      if (char === stop) return output.end();
      const quotes = this.#options.literalQuotes !== true;
      if (char === "'" && quotes) output.addQuoted(this.#singleQuoted());
      else if (char === '"' && quotes) output.addQuoted(this.#doubleQuoted(rawEscapes));
      else if (char === '$') output.add(this.#dollar());
      else if (char === this.#options.escapeChar) {
        const next = this.#take();
        if (next !== '' || rawEscapes) output.addQuoted(rawEscapes ? char + next : next);
      } else output.add(char);
    }
    if (stop !== '')
      this.#fail(stop === '}' ? "syntax error: missing '}'" : `syntax error: missing '${stop}' in \${}`);
    return output.end();
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end < 0) this.#fail('unexpected end of statement while looking for matching single-quote');
    const text = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return text;
  }

  /** Only the quote, the dollar and the escape character itself can be escaped. */
  #doubleQuoted(rawEscapes: boolean): string {
    let text = '';
    for (;;) {
      if (this.#at >= this.#text.length) {
        this.#fail('unexpected end of statement while looking for matching double-quote');
      }
      const char = this.#take();
      if (char === '"') return text;
      if (char === '$') text += this.#dollar();
      else if (
        char === this.#options.escapeChar &&
        ['"', '$', this.#options.escapeChar].includes(this.#peek())
      ) {
        text += (rawEscapes ? char : '') + this.#take();
      } else text += char;
    }
  }

  #name(): string {
    const match = /^(?:\d+|[@*#?\-$!]|[\p{L}_][\p{L}\p{Nd}_]*)/u.exec(this.#text.slice(this.#at));
    this.#at += match?.[0].length ?? 0;
    return match?.[0] ?? '';
  }

  #dollar(): string {
    if (this.#peek() !== '{') {
      const name = this.#name();
      return name === '' ? '$' : (this.#options.lookup(name) ?? '');
    }
    this.#at++;
    if (this.#peek() === '') this.#fail("syntax error: missing '}'");
    if (['{', '}', ':'].includes(this.#peek())) this.#fail('syntax error: bad substitution');
    const name = this.#name();
    const value = this.#options.lookup(name);
    const operator = this.#take();
    switch (operator) {
      case '}':
        return value ?? '';
      case ':':
        return this.#conditional(name, value === '' ? undefined : value, this.#take(), 'empty');
      case '+':
      case '-':
      case '?':
        return this.#conditional(name, value, operator, 'unset');
      case '#':
      case '%':
        return this.#trimmed(value ?? '', operator);
      case '/':
        return this.#replaced(value ?? '');
      case '':
        return this.#fail("syntax error: missing '}'");
      default:
        return this.#fail(`unsupported modifier (${operator}) in substitution`);
    }
  }

  #conditional(name: string, value: string | undefined, operator: string, missing: string): string {
    if (!['+', '-', '?'].includes(operator))
      this.#fail(`unsupported modifier (:${operator}) in substitution`);
    const word = this.#until('}', false).text;
    if (operator === '+') return value === undefined ? '' : word;
    if (value !== undefined) return value;
    if (operator === '-') return word;
    return this.#fail(`${name}: ${word === '' ? `is not allowed to be ${missing}` : word}`);
  }

  #trimmed(value: string, operator: '#' | '%'): string {
    const greedy = this.#peek() === operator;
    if (greedy) this.#at++;
    return new ShellPattern(this.#until('}', true).text).trim(value, operator, greedy);
  }

  #replaced(value: string): string {
    const all = this.#peek() === '/';
    if (all) this.#at++;
    const pattern = new ShellPattern(this.#until('/', true).text);
    const replacement = this.#until('}', true).text;
    return pattern.replace(value, replacement, all);
  }
}
